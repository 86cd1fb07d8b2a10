#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "data/decode.h"
#include "data/hdf5.h"
#include "data/shard.h"
#include "data/shard_tables.h"
#include "data/shard_writer.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

// A piece that stays in the second-level cache between the read, the checksum and the conversion.
constexpr size_t kPieceBytes = 128 << 10U;

/// One shard after its metadata was read: a descriptor and where its clips lie.
struct Shard {
  fs::path file;
  int fd = -1;
  int64_t first_row = 0;
  int64_t clips = 0;
  uint64_t data_offset = 0;     ///< of sound/data in the file
  std::vector<uint64_t> start;  ///< [clips + 1] samples (pcm16) or bytes (flac)
};

/// Many shards are many descriptors; the soft limit of most systems is 1024.
void allow_descriptors(size_t wanted) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct ShardReader::Impl {
  fs::path folder;
  PreparedIndex index;
  std::vector<Shard> shards;
  std::vector<fs::path> files;
  std::string ids;
  std::vector<uint64_t> id_start = {0};
  std::vector<uint64_t> checksum;
  std::vector<uint32_t> samples;
  std::vector<float> source_s;
  std::vector<float> scale;
  std::vector<int8_t> set, split;
  std::vector<int16_t> fold;
  std::vector<uint64_t> label_start = {0};
  std::vector<int32_t> label_index;
  std::vector<float> label_value;
  std::vector<uint64_t> known_start = {0};
  std::vector<int32_t> known_index;

  ~Impl() {
    for (const Shard& shard : shards) {
      if (shard.fd >= 0) ::close(shard.fd);
    }
  }

  void open(const PreparedIndex::Shard& entry);
  void take_tables(const ShardTables& tables, const Shard& shard);
  void take_csr(const Shard& shard, const char* name, const std::vector<uint64_t>& starts,
                const std::vector<int32_t>& indices, std::vector<uint64_t>& start,
                std::vector<int32_t>& values) const;
  const Shard& shard_of(int64_t row) const;
  std::string name(const Shard& shard, int64_t row) const;
  void pread_exactly(const Shard& shard, int64_t row, std::byte* out, size_t bytes,
                     uint64_t offset) const;
  void read_stored(const Shard& shard, int64_t row, std::span<std::byte> out,
                   uint64_t offset) const;
  void check(const Shard& shard, int64_t row, uint64_t sum) const;
  void read_pcm(const Shard& shard, int64_t row, std::span<int16_t> out) const;
  void read_pcm(const Shard& shard, int64_t row, std::span<float> out) const;
  void read_flac(const Shard& shard, int64_t row, std::span<int16_t> out) const;
};

namespace {

[[noreturn]] void broken(const Shard& shard, std::string_view what) {
  throw Error(
      fmt::format("{}: broken shard: {}; prepare the data set again", shard.file.string(), what),
      Exit::kData);
}

void check_starts(const Shard& shard, const std::vector<uint64_t>& start, size_t rows,
                  const char* name) {
  const bool good =
      start.size() == rows + 1 && start.front() == 0 && std::is_sorted(start.begin(), start.end());
  if (!good) broken(shard, fmt::format("{} does not ascend from 0", name));
}

}  // namespace

void ShardReader::Impl::take_csr(const Shard& shard, const char* name,
                                 const std::vector<uint64_t>& starts,
                                 const std::vector<int32_t>& indices, std::vector<uint64_t>& start,
                                 std::vector<int32_t>& values) const {
  check_starts(shard, starts, static_cast<size_t>(shard.clips), name);
  if (starts.back() != indices.size())
    broken(shard, fmt::format("the indices of {} do not fit", name));
  const auto classes = static_cast<int32_t>(index.classes.size());
  for (const int32_t k : indices) {
    if (k < 0 || k >= classes) broken(shard, fmt::format("class {} in {}", k, name));
  }
  const uint64_t base = values.size();
  for (size_t i = 1; i < starts.size(); ++i) start.push_back(base + starts[i]);
  values.insert(values.end(), indices.begin(), indices.end());
}

/// Checks one shard's tables and appends them to those of all.
void ShardReader::Impl::take_tables(const ShardTables& t, const Shard& shard) {
  const auto clips = static_cast<size_t>(shard.clips);
  for (const size_t rows : {t.id.size(), t.samples.size(), t.checksum.size(), t.source_s.size(),
                            t.set.size(), t.split.size(), t.fold.size()}) {
    if (rows != clips) broken(shard, fmt::format("a table has {} rows, not {}", rows, clips));
  }
  if (!t.scale.empty() && t.scale.size() != clips)
    broken(shard, fmt::format("clip/scale has {} rows, not {}", t.scale.size(), clips));
  check_starts(shard, t.sound_start, clips, "sound/start");
  const bool pcm = index.store == ShardStore::kPcm16;
  for (size_t i = 0; i < clips; ++i) {
    ids += t.id[i];
    id_start.push_back(ids.size());
    if (t.samples[i] == 0 || t.samples[i] > (uint64_t{1} << 31U))
      broken(shard, fmt::format("a clip of {} samples", t.samples[i]));
    if (pcm && t.sound_start[i + 1] - t.sound_start[i] != t.samples[i])
      broken(shard, "sound/start does not fit clip/samples");
    samples.push_back(static_cast<uint32_t>(t.samples[i]));
    checksum.push_back(t.checksum[i]);
    source_s.push_back(t.source_s[i]);
    scale.push_back(t.scale.empty() ? 1.0F : t.scale[i]);
    if (!(scale.back() >= 1 && std::isfinite(scale.back())))
      broken(shard, fmt::format("a scale of {}", scale.back()));
    if (t.set[i] < 0 || t.set[i] >= static_cast<int32_t>(index.sets.size()))
      broken(shard, fmt::format("set {}", t.set[i]));
    set.push_back(static_cast<int8_t>(t.set[i]));
    const auto splits =
        static_cast<int32_t>(index.sets[static_cast<size_t>(t.set[i])].splits.size());
    if (t.split[i] < -1 || t.split[i] >= splits) broken(shard, fmt::format("split {}", t.split[i]));
    split.push_back(static_cast<int8_t>(t.split[i]));
    if (t.fold[i] < 0 || t.fold[i] > 1000) broken(shard, fmt::format("fold {}", t.fold[i]));
    fold.push_back(static_cast<int16_t>(t.fold[i]));
  }
  take_csr(shard, "label/start", t.label_start, t.label_index, label_start, label_index);
  label_value.insert(label_value.end(), t.label_value.begin(), t.label_value.end());
  if (label_value.size() != label_index.size())
    broken(shard, "label/value does not fit label/index");
  if (index.masked)
    take_csr(shard, "known/start", t.known_start, t.known_index, known_start, known_index);
}

void ShardReader::Impl::open(const PreparedIndex::Shard& entry) {
  Shard& shard = shards.emplace_back();
  shard.file = folder / entry.file;
  shard.first_row = static_cast<int64_t>(checksum.size());
  shard.clips = entry.clips;
  files.push_back(shard.file);
  // The descriptor first: what HDF5 reads then is what the descriptor holds, or the sizes differ.
  shard.fd = ::open(shard.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (shard.fd < 0) {
    const char* hint = errno == EMFILE ? "; a larger dataset.shard_mb makes fewer shards" : "";
    throw Error(
        fmt::format("cannot open {}: {}{}", shard.file.string(), std::strerror(errno), hint),
        Exit::kData);
  }
  struct stat info {};
  if (::fstat(shard.fd, &info) != 0 || info.st_size != entry.bytes) {
    broken(shard, fmt::format("{} bytes, the index says {}", info.st_size, entry.bytes));
  }
  if (entry.seal.sum &&
      sum_outside_of_sound(shard.fd, shard.file, entry.bytes, entry.seal) != *entry.seal.sum) {
    broken(shard, "its tables are damaged: their sum is not that of the index");
  }
  const h5::File file = h5::File::open(shard.file);
  if (file.read_text_attribute("format") != "exp-shard")
    broken(shard, "the format is not exp-shard");
  const int64_t version = file.read_attribute("version");
  if (version > kShardFormatVersion) {
    throw Error(fmt::format("{}: format version {} is newer than this exp reads ({})",
                            shard.file.string(), version, kShardFormatVersion),
                Exit::kData);
  }
  const std::string store = index.store == ShardStore::kPcm16 ? "pcm16" : "flac";
  if (file.read_attribute("rate_hz") != index.rate_hz ||
      file.read_text_attribute("store") != store ||
      file.read_attribute("classes") != static_cast<int64_t>(index.classes.size())) {
    broken(shard, "rate, store or classes are not those of the index");
  }
  ShardTables tables = read_tables(file, {index.masked, version >= shard_format_version(true)});
  if (file.read_attribute("tables") != static_cast<int64_t>(tables.sum())) {
    broken(shard, "its tables do not match their checksum");
  }
  take_tables(tables, shard);
  shard.start = std::move(tables.sound_start);
  const auto extent = file.extent("sound/data");
  const uint64_t width = index.store == ShardStore::kPcm16 ? 2 : 1;
  shard.data_offset = extent.offset;
  const auto size = static_cast<uint64_t>(info.st_size);
  if (extent.bytes > size || extent.offset > size - extent.bytes ||
      shard.start.back() * width != extent.bytes) {
    broken(shard, "sound/data lies outside of the file");
  }
}

const Shard& ShardReader::Impl::shard_of(int64_t row) const {
  XP_CHECK(row >= 0 && row < static_cast<int64_t>(checksum.size()), fmt::format("row {}", row));
  const auto after =
      std::upper_bound(shards.begin(), shards.end(), row,
                       [](int64_t r, const Shard& shard) { return r < shard.first_row; });
  return *std::prev(after);
}

std::string ShardReader::Impl::name(const Shard& shard, int64_t row) const {
  const auto i = static_cast<size_t>(row);
  return fmt::format("{}: clip '{}'", shard.file.string(),
                     std::string_view(ids).substr(id_start[i], id_start[i + 1] - id_start[i]));
}

void ShardReader::Impl::pread_exactly(const Shard& shard, int64_t row, std::byte* out, size_t bytes,
                                      uint64_t offset) const {
  while (bytes > 0) {
    const auto got = ::pread(shard.fd, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const char* why = got == 0 ? "the file became shorter" : std::strerror(errno);
      throw Error(fmt::format("{} cannot be read: {}", name(shard, row), why), Exit::kData);
    }
    out += got;
    bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
}

void ShardReader::Impl::check(const Shard& shard, int64_t row, uint64_t sum) const {
  if (sum == checksum[static_cast<size_t>(row)]) return;
  throw Error(fmt::format("{} is damaged: its checksum differs; run `exp data verify`, then "
                          "prepare the data set again",
                          name(shard, row)),
              Exit::kData);
}

/// All bytes of a clip, as they were when the shard was written.
void ShardReader::Impl::read_stored(const Shard& shard, int64_t row, std::span<std::byte> out,
                                    uint64_t offset) const {
  pread_exactly(shard, row, out.data(), out.size(), offset);
  check(shard, row, checksum64(out));
}

void ShardReader::Impl::read_pcm(const Shard& shard, int64_t row, std::span<int16_t> out) const {
  const auto at = static_cast<size_t>(row - shard.first_row);
  read_stored(shard, row, std::as_writable_bytes(out), shard.data_offset + 2 * shard.start[at]);
}

void ShardReader::Impl::read_pcm(const Shard& shard, int64_t row, std::span<float> out) const {
  thread_local std::vector<int16_t> buffer(kPieceBytes / sizeof(int16_t));
  const auto at = static_cast<size_t>(row - shard.first_row);
  uint64_t offset = shard.data_offset + 2 * shard.start[at];
  Checksum64 sum;
  while (!out.empty()) {
    const auto piece = std::span(buffer).first(std::min(buffer.size(), out.size()));
    const auto bytes = std::as_writable_bytes(piece);
    pread_exactly(shard, row, bytes.data(), bytes.size(), offset);
    sum.add(bytes);
    from_pcm16(piece, out.first(piece.size()), scale[static_cast<size_t>(row)]);
    out = out.subspan(piece.size());
    offset += bytes.size();
  }
  check(shard, row, sum.value());
}

void ShardReader::Impl::read_flac(const Shard& shard, int64_t row, std::span<int16_t> out) const {
  thread_local std::vector<std::byte> bytes;
  const auto at = static_cast<size_t>(row - shard.first_row);
  bytes.resize(shard.start[at + 1] - shard.start[at]);
  read_stored(shard, row, bytes, shard.data_offset + shard.start[at]);
  if (!decode_flac(bytes, out))
    throw Error(fmt::format("{} holds no FLAC of {} samples", name(shard, row), out.size()),
                Exit::kData);
}

ShardReader::ShardReader(const fs::path& folder) : impl_(std::make_unique<Impl>()) {
  impl_->folder = folder;
  impl_->index = read_index(folder);
  allow_descriptors(impl_->index.shards.size() + 256);
  impl_->shards.reserve(impl_->index.shards.size());
  for (const auto& shard : impl_->index.shards) impl_->open(shard);
}

ShardReader::~ShardReader() = default;

void ShardReader::read(int64_t row, std::span<float> out) const {
  const Shard& shard = impl_->shard_of(row);
  XP_CHECK(static_cast<int64_t>(out.size()) == samples(row), "the buffer does not fit the clip");
  if (impl_->index.store == ShardStore::kPcm16) {
    impl_->read_pcm(shard, row, out);
    return;
  }
  thread_local std::vector<int16_t> pcm;
  pcm.resize(out.size());
  impl_->read_flac(shard, row, pcm);
  from_pcm16(pcm, out, scale(row));
}

void ShardReader::read(int64_t row, std::span<int16_t> out) const {
  const Shard& shard = impl_->shard_of(row);
  XP_CHECK(static_cast<int64_t>(out.size()) == samples(row), "the buffer does not fit the clip");
  if (impl_->index.store == ShardStore::kPcm16) {
    impl_->read_pcm(shard, row, out);
  } else {
    impl_->read_flac(shard, row, out);
  }
}

const fs::path& ShardReader::folder() const { return impl_->folder; }
std::string_view ShardReader::dataset() const { return impl_->index.sets.front().dataset; }
int64_t ShardReader::clips() const { return static_cast<int64_t>(impl_->checksum.size()); }
int64_t ShardReader::rate_hz() const { return impl_->index.rate_hz; }
const std::vector<ClassInfo>& ShardReader::classes() const { return impl_->index.classes; }
int64_t ShardReader::sets() const { return static_cast<int64_t>(impl_->index.sets.size()); }
const std::vector<Split>& ShardReader::splits(int64_t set) const {
  return impl_->index.sets.at(static_cast<size_t>(set)).splits;
}
bool ShardReader::has_folds(int64_t set) const {
  return impl_->index.sets.at(static_cast<size_t>(set)).folds;
}
bool ShardReader::masked() const { return impl_->index.masked; }

std::string_view ShardReader::id(int64_t row) const {
  const auto i = static_cast<size_t>(row);
  return std::string_view(impl_->ids)
      .substr(impl_->id_start.at(i), impl_->id_start.at(i + 1) - impl_->id_start[i]);
}
int64_t ShardReader::samples(int64_t row) const {
  return impl_->samples.at(static_cast<size_t>(row));
}
double ShardReader::source_seconds(int64_t row) const {
  return static_cast<double>(impl_->source_s.at(static_cast<size_t>(row)));
}
float ShardReader::scale(int64_t row) const { return impl_->scale.at(static_cast<size_t>(row)); }
uint64_t ShardReader::checksum(int64_t row) const {
  return impl_->checksum.at(static_cast<size_t>(row));
}
int ShardReader::set(int64_t row) const { return impl_->set.at(static_cast<size_t>(row)); }
int ShardReader::split(int64_t row) const { return impl_->split.at(static_cast<size_t>(row)); }
int ShardReader::fold(int64_t row) const { return impl_->fold.at(static_cast<size_t>(row)); }

LabelTable ShardReader::labels() const {
  return {impl_->label_start, impl_->label_index, impl_->label_value,
          static_cast<int64_t>(impl_->index.classes.size())};
}

void ShardReader::known(int64_t row, std::span<float> out) const {
  XP_CHECK(out.size() == classes().size(), "the buffer does not fit the classes");
  if (!masked()) {
    std::fill(out.begin(), out.end(), 1.0F);
    return;
  }
  std::fill(out.begin(), out.end(), 0.0F);
  const auto i = static_cast<size_t>(row);
  for (uint64_t k = impl_->known_start.at(i); k < impl_->known_start.at(i + 1); ++k) {
    out[static_cast<size_t>(impl_->known_index[k])] = 1.0F;
  }
}

const std::vector<fs::path>& ShardReader::files() const { return impl_->files; }

int64_t ShardReader::shard_of(int64_t row) const {
  return &impl_->shard_of(row) - impl_->shards.data();
}

}  // namespace xp::data
