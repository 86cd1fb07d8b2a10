#include "data/shard_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/hdf5.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail_write(const fs::path& path) {
  const int error = errno;
  const char* hint = error == ENOSPC ? "; free some space and run the same command again" : "";
  throw Error(fmt::format("cannot write {}: {}{}", path.string(), std::strerror(error), hint),
              Exit::kFailed);
}

/// Copies all of `from` into `to` at `offset`.
void copy_into(const fs::path& from, const fs::path& to, uint64_t offset, uint64_t bytes) {
  const Fd in{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
  const Fd out{::open(to.c_str(), O_WRONLY | O_CLOEXEC)};
  if (in.fd < 0)
    throw Error(fmt::format("cannot read {}: {}", from.string(), std::strerror(errno)),
                Exit::kFailed);
  if (out.fd < 0) fail_write(to);
  std::vector<std::byte> block(4U << 20U);
  auto at = static_cast<off_t>(offset);
  while (bytes > 0) {
    const auto got = ::read(in.fd, block.data(), std::min<uint64_t>(block.size(), bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw Error(fmt::format("{} is shorter than its journal says", from.string()), Exit::kFailed);
    for (ssize_t done = 0; done < got;) {
      const auto wrote = ::pwrite(out.fd, block.data() + done, static_cast<size_t>(got - done), at);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) fail_write(to);
      done += wrote;
      at += wrote;
    }
    bytes -= static_cast<uint64_t>(got);
  }
}

template <class T, class Get>
void write_column(h5::File& file, const char* name, std::span<const ShardRow> rows, Get get) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const ShardRow& row : rows) values.push_back(static_cast<T>(get(row)));
  file.write<T>(name, values);
}

void write_labels(h5::File& file, std::span<const ShardRow> rows, bool masked) {
  std::vector<uint64_t> start = {0};
  std::vector<int32_t> index;
  std::vector<float> value;
  std::vector<uint64_t> known_start = {0};
  std::vector<int32_t> known;
  for (const ShardRow& row : rows) {
    for (const Label& label : row.labels) {
      index.push_back(label.index);
      value.push_back(label.value);
    }
    start.push_back(index.size());
    known.insert(known.end(), row.known.begin(), row.known.end());
    known_start.push_back(known.size());
  }
  file.write<uint64_t>("label/start", start);
  file.write<int32_t>("label/index", index);
  file.write<float>("label/value", value);
  if (masked) {
    file.write<uint64_t>("known/start", known_start);
    file.write<int32_t>("known/index", known);
  }
}

}  // namespace

void write_shard(const fs::path& path, const ShardHeader& header, std::span<const ShardRow> rows,
                 const fs::path& sound) {
  uint64_t bytes = 0;
  uint64_t samples = 0;
  std::vector<uint64_t> start = {0};
  for (const ShardRow& row : rows) {
    bytes += row.bytes;
    samples += row.samples;
    start.push_back(header.store == ShardStore::kPcm16 ? samples : bytes);
  }
  XP_CHECK(header.store != ShardStore::kPcm16 || bytes == 2 * samples,
           "PCM rows disagree with their bytes");

  AtomicFile out(path);
  h5::File file = h5::File::create(out.path());
  file.write_attribute("format", "exp-shard");
  file.write_attribute("version", kShardFormatVersion);
  file.write_attribute("rate_hz", header.rate_hz);
  file.write_attribute("store", header.store == ShardStore::kPcm16 ? "pcm16" : "flac");
  file.write_attribute("number", header.number);
  file.write_attribute("classes", header.classes);
  file.write_attribute("masked", int64_t{header.masked});
  std::vector<std::string> ids;
  for (const ShardRow& row : rows) ids.push_back(row.id);
  file.write_strings("clip/id", ids);
  write_column<uint64_t>(file, "clip/samples", rows, [](const ShardRow& r) { return r.samples; });
  write_column<uint64_t>(file, "clip/checksum", rows, [](const ShardRow& r) { return r.checksum; });
  write_column<float>(file, "clip/source_s", rows, [](const ShardRow& r) { return r.source_s; });
  write_column<int32_t>(file, "clip/set", rows, [](const ShardRow& r) { return r.set; });
  write_column<int32_t>(file, "clip/split", rows, [](const ShardRow& r) { return r.split; });
  write_column<int32_t>(file, "clip/fold", rows, [](const ShardRow& r) { return r.fold; });
  write_labels(file, rows, header.masked);
  file.write<uint64_t>("sound/start", start);
  const bool pcm = header.store == ShardStore::kPcm16;
  const uint64_t offset =
      file.reserve("sound/data", pcm ? H5T_STD_I16LE : H5T_STD_U8LE, pcm ? samples : bytes);
  file.flush_and_close();
  copy_into(sound, out.path(), offset, bytes);
  out.commit();
}

}  // namespace xp::data
