#include "data/decode.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include <fcntl.h>
#include <sndfile.h>
#include <soxr.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "data/blobs.h"
#include "data/sound_container.h"
#include "data/synthesis.h"

namespace xp::data {
namespace {

// A piece that stays in the first-level cache from the codec to the mix; soxr's own buffers, too,
// stay small with it, where a whole clip at once costs it half as much again in page faults.
constexpr int64_t kBlockFrames = 4096;
constexpr uint64_t kLargestFile = uint64_t{4} << 30U;

/// What libsndfile reads from: bytes in memory, but for a size that was left open.
struct Memory {
  std::span<const std::byte> bytes;
  sf_count_t at = 0;
  OpenSize size;  ///< read in place of what stands there
};

sf_count_t memory_length(void* user) {
  return static_cast<sf_count_t>(static_cast<Memory*>(user)->bytes.size());
}

sf_count_t memory_seek(sf_count_t offset, int whence, void* user) {
  auto* memory = static_cast<Memory*>(user);
  const auto size = static_cast<sf_count_t>(memory->bytes.size());
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? memory->at : size;
  memory->at = std::clamp<sf_count_t>(base + offset, 0, size);
  return memory->at;
}

sf_count_t memory_read(void* out, sf_count_t count, void* user) {
  auto* memory = static_cast<Memory*>(user);
  count = std::min(count, static_cast<sf_count_t>(memory->bytes.size()) - memory->at);
  if (count <= 0) return 0;
  std::memcpy(out, memory->bytes.data() + memory->at, static_cast<size_t>(count));
  const OpenSize& size = memory->size;
  for (size_t i = 0; i < size.count; ++i) {
    const sf_count_t place = static_cast<sf_count_t>(size.at + i) - memory->at;
    if (place >= 0 && place < count) static_cast<std::byte*>(out)[place] = size.bytes[i];
  }
  memory->at += count;
  return count;
}

sf_count_t memory_write(const void*, sf_count_t, void*) { return 0; }
sf_count_t memory_tell(void* user) { return static_cast<Memory*>(user)->at; }

SF_VIRTUAL_IO memory_io = {memory_length, memory_seek, memory_read, memory_write, memory_tell};

struct CloseSound {
  void operator()(SNDFILE* sound) const { sf_close(sound); }
};

struct CloseResampler {
  void operator()(soxr_t resampler) const { soxr_delete(resampler); }
};

/// Of the file that could not be opened last.
std::string why_not_opened(std::span<const std::byte> bytes) {
  if (auto what = what_it_is(bytes)) return *what;
  const std::string why = sf_strerror(nullptr);
  // What libsndfile says of an MP3 without a frame speaks of a file that it was never given.
  if (why.starts_with("File does not exist")) return "no frame of sound in it";
  if (why.find("SF_INFO") == std::string::npos) return why;
  return "its header has no sample rate or no channel";
}

/// libsndfile keeps why a file could not be opened in one variable of the process, which every
/// other opening clears: a file that fails is opened again while nobody else opens one.
std::unique_ptr<SNDFILE, CloseSound> open_sound(Memory& memory, SF_INFO& info, std::string& why) {
  static std::shared_mutex opening;
  {
    const std::shared_lock lock(opening);
    if (SNDFILE* sound = sf_open_virtual(&memory_io, SFM_READ, &info, &memory))
      return std::unique_ptr<SNDFILE, CloseSound>(sound);
  }
  const std::unique_lock lock(opening);
  memory.at = 0;
  info = {};
  SNDFILE* sound = sf_open_virtual(&memory_io, SFM_READ, &info, &memory);
  if (sound == nullptr) why = why_not_opened(memory.bytes);
  return std::unique_ptr<SNDFILE, CloseSound>(sound);
}

soxr_quality_spec_t soxr_quality(schema::ResampleQuality quality) {
  switch (quality) {
    case schema::ResampleQuality::kLq:
      return soxr_quality_spec(SOXR_LQ, 0);
    case schema::ResampleQuality::kMq:
      return soxr_quality_spec(SOXR_MQ, 0);
    case schema::ResampleQuality::kHq:
      return soxr_quality_spec(SOXR_HQ, 0);
    case schema::ResampleQuality::kVhq:
      return soxr_quality_spec(SOXR_VHQ, 0);
  }
  XP_CHECK(false, "unknown resampling quality");
  return {};
}

/// Neither NaN nor infinity: by their bits, so that the loop is one of whole registers.
bool all_finite(std::span<const float> samples) {
  constexpr int32_t kInfinity = 0x7F800000;
  int32_t largest = 0;
  for (const float x : samples) largest = std::max(largest, std::bit_cast<int32_t>(x) & 0x7FFFFFFF);
  return largest < kInfinity;
}

/// Channels to their mean, appended.
void append_mono(std::span<const float> block, int channels, std::vector<float>& mono) {
  if (channels == 1) {
    mono.insert(mono.end(), block.begin(), block.end());
    return;
  }
  const float scale = 1.0F / static_cast<float>(channels);
  const size_t frames = block.size() / static_cast<size_t>(channels);
  mono.resize(mono.size() + frames);
  float* out = mono.data() + mono.size() - frames;
  const float* frame = block.data();
  for (size_t i = 0; i < frames; ++i, frame += channels) {
    float sum = 0;
    for (int c = 0; c < channels; ++c) sum += frame[c];
    out[i] = sum * scale;
  }
}

Wave bad(std::string problem) {
  Wave wave;
  wave.problem = std::move(problem);
  return wave;
}

/// The file's bytes into `bytes`, or why not.
std::optional<std::string> slurp(const std::string& file, std::vector<std::byte>& bytes,
                                 const std::function<void(const FileRead&)>& file_was_read) {
  const int64_t began_ns = file_was_read ? wall_ns() : 0;
  // A pipe is not waited for: it is refused.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fmt::format("cannot be opened: {}", std::strerror(errno));
  struct stat info {};
  std::optional<std::string> problem;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    problem = "not a regular file";
  } else if (static_cast<uint64_t>(info.st_size) > kLargestFile) {
    problem = "larger than 4 GB";
  } else {
    bytes.resize(static_cast<size_t>(info.st_size));
    size_t at = 0;
    while (at < bytes.size()) {
      const auto got = ::read(fd, bytes.data() + at, bytes.size() - at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) problem = fmt::format("cannot be read: {}", std::strerror(errno));
      if (got == 0) problem = "became shorter while it was read";
      if (got <= 0) break;
      at += static_cast<size_t>(got);
    }
    struct stat after {};
    if (file_was_read && ::fstat(fd, &after) == 0) {
      try {
        file_was_read({file, info, after, began_ns, std::span(bytes).first(at)});
      } catch (...) {
        ::close(fd);
        throw;
      }
    }
  }
  ::close(fd);
  return problem;
}

}  // namespace

struct Decoder::Impl {
  DecodeOptions options;
  std::vector<std::byte> file;
  std::vector<float> block, mono;
  BlobFile blobs;

  Wave decode(std::span<const std::byte> encoded, double start_s, double length_s);
  Wave finish(std::span<const float> sound, int64_t rate_hz, int64_t channels) const;
};

Wave Decoder::Impl::finish(std::span<const float> sound, int64_t rate_hz, int64_t channels) const {
  Wave wave;
  wave.source_rate_hz = rate_hz;
  wave.source_channels = channels;
  wave.source_s = static_cast<double>(sound.size()) / static_cast<double>(rate_hz);
  if (sound.empty()) {
    wave.problem = "empty: no samples";
    return wave;
  }
  if (!all_finite(sound)) {
    wave.problem = "holds samples that are not numbers";
    return wave;
  }
  if (wave.source_s < options.shortest_s) {
    wave.problem = fmt::format("too short: {:.4f} s, at least {} s are needed", wave.source_s,
                               options.shortest_s);
    return wave;
  }
  wave.samples = resample(sound, rate_hz, options.rate_hz, options.quality);
  return wave;
}

Wave Decoder::Impl::decode(std::span<const std::byte> encoded, double start_s, double length_s) {
  if (encoded.empty()) return bad("empty file");
  if (auto problem = find_damage(encoded)) return bad(*problem);
  Memory memory{encoded, 0, find_open_size(encoded).value_or(OpenSize{})};
  SF_INFO info{};
  std::string why;
  const auto sound = open_sound(memory, info, why);
  if (!sound) return bad(fmt::format("cannot be decoded: {}", why));
  if (info.samplerate < 1000 || info.samplerate > 1'000'000 || info.channels < 1) {
    return bad(
        fmt::format("implausible header: {} Hz, {} channels", info.samplerate, info.channels));
  }
  const double rate = info.samplerate;
  const auto first = static_cast<sf_count_t>(std::llround(start_s * rate));
  // The header's frame count may lie (it does in broken files), so it never sizes a buffer.
  auto wanted = static_cast<sf_count_t>(options.longest_s * rate) + 1;
  if (length_s > 0) wanted = std::min<sf_count_t>(wanted, std::llround(length_s * rate));
  if (first > 0 && sf_seek(sound.get(), first, SEEK_SET) != first) {
    return bad(fmt::format("shorter than {} s, where the clip begins", start_s));
  }
  mono.clear();
  if (info.frames > 0)
    mono.reserve(static_cast<size_t>(std::min({info.frames, wanted, sf_count_t{1} << 24U})));
  block.resize(static_cast<size_t>(kBlockFrames * info.channels));
  const sf_count_t block_frames = kBlockFrames;
  while (static_cast<sf_count_t>(mono.size()) < wanted) {
    const auto left = wanted - static_cast<sf_count_t>(mono.size());
    const sf_count_t got = sf_readf_float(sound.get(), block.data(), std::min(block_frames, left));
    if (got <= 0) break;
    append_mono(std::span(block).first(static_cast<size_t>(got * info.channels)), info.channels,
                mono);
  }
  const auto got = static_cast<sf_count_t>(mono.size());
  if (const int error = sf_error(sound.get()); error != SF_ERR_NO_ERROR) {
    return bad(fmt::format("broken after {:.2f} s: {}", static_cast<double>(got) / rate,
                           sf_error_number(error)));
  }
  if (length_s <= 0 && got == wanted) {
    return bad(fmt::format("too long: more than {} s", options.longest_s));
  }
  // MP3 counts are estimates; for the others fewer frames than promised are a damaged file.
  const bool exact = (info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_MPEG;
  if (exact && info.frames > 0 && info.frames < SF_COUNT_MAX &&
      got < std::min(wanted, info.frames - first)) {
    return bad(fmt::format("truncated: {} of {} samples could be decoded", got, info.frames));
  }
  return finish(mono, info.samplerate, info.channels);
}

Decoder::Decoder(const DecodeOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

Wave Decoder::read_bytes(std::span<const std::byte> encoded) {
  return impl_->decode(encoded, 0, 0);
}

Wave Decoder::read(const Source& source) {
  if (const auto* file = std::get_if<FileSource>(&source)) {
    if (auto problem = slurp(file->file, impl_->file, impl_->options.file_was_read))
      return bad(*problem);
    return impl_->decode(impl_->file, file->start_s, file->length_s);
  }
  if (const auto* blob = std::get_if<BlobSource>(&source)) {
    if (auto problem = impl_->blobs.read(*blob, impl_->file)) return bad(*problem);
    return impl_->decode(impl_->file, 0, 0);
  }
  const int64_t rate = impl_->options.rate_hz;
  if (const auto* synthetic = std::get_if<SyntheticSource>(&source)) {
    return impl_->finish(synthesize(*synthetic, rate), rate, 1);
  }
  const auto& silent = std::get<SilentSource>(source);
  const auto samples =
      static_cast<size_t>(std::llround(silent.length_s * static_cast<double>(rate)));
  return impl_->finish(std::vector<float>(samples, 0.0F), rate, 1);
}

std::vector<float> resample(std::span<const float> samples, int64_t from_hz, int64_t to_hz,
                            schema::ResampleQuality quality) {
  XP_CHECK(from_hz > 0 && to_hz > 0, "rates must be positive");
  if (from_hz == to_hz) return {samples.begin(), samples.end()};
  const auto length =
      static_cast<size_t>(std::llround(static_cast<double>(samples.size()) *
                                       static_cast<double>(to_hz) / static_cast<double>(from_hz)));
  // soxr takes no more input than the room for output calls for: with this much it takes some.
  std::vector<float> out(length + static_cast<size_t>(to_hz / from_hz) + 16);
  const soxr_quality_spec_t spec = soxr_quality(quality);
  soxr_error_t error = nullptr;
  const std::unique_ptr<soxr, CloseResampler> soxr(soxr_create(static_cast<double>(from_hz),
                                                               static_cast<double>(to_hz), 1,
                                                               &error, nullptr, &spec, nullptr));
  XP_CHECK(error == nullptr, fmt::format("soxr: {}", error));
  // Piece by piece gives the same bits as all at once.
  size_t made = 0;
  while (made < length) {
    const auto piece = samples.first(std::min<size_t>(samples.size(), kBlockFrames));
    size_t used = 0;
    size_t got = 0;
    error = soxr_process(soxr.get(), piece.empty() ? nullptr : piece.data(), piece.size(), &used,
                         out.data() + made, out.size() - made, &got);
    XP_CHECK(error == nullptr, fmt::format("soxr: {}", error));
    if (used == 0 && got == 0) break;
    samples = samples.subspan(used);
    made += got;
  }
  XP_CHECK(samples.empty() || made >= length, "soxr leaves input unread");
  // soxr rounds the last sample either way; the length is a pure function of n.
  out.resize(made < length ? made : length);
  out.resize(length, 0.0F);
  return out;
}

float pcm_scale(std::span<const float> samples) {
  float peak = 0;
  for (const float x : samples) peak = std::max(peak, std::abs(x));
  return peak <= 1 ? 1.0F : peak * (32768.0F / 32767.0F);  // so that the peak is 32767
}

double above_full_scale_db(float scale) {
  return scale <= 1 ? 0.0 : 20 * std::log10(static_cast<double>(scale) * 32767 / 32768);
}

void to_pcm16(std::span<const float> samples, std::span<int16_t> pcm, float scale) {
  XP_CHECK(samples.size() == pcm.size(), "sizes differ");
  const float factor = 32768.0F / scale;
  for (size_t i = 0; i < samples.size(); ++i) {
    const float scaled = std::clamp(samples[i] * factor, -32768.0F, 32767.0F);
    pcm[i] = static_cast<int16_t>(std::lrintf(scaled));
  }
}

void from_pcm16(std::span<const int16_t> pcm, std::span<float> samples, float scale) {
  XP_CHECK(samples.size() == pcm.size(), "sizes differ");
  const float step = scale * (1.0F / 32768.0F);
  for (size_t i = 0; i < pcm.size(); ++i) samples[i] = static_cast<float>(pcm[i]) * step;
}

void round_as_stored(std::span<float> samples) {
  std::vector<int16_t> pcm(samples.size());
  const float scale = pcm_scale(samples);
  to_pcm16(samples, pcm, scale);
  from_pcm16(pcm, samples, scale);
}

std::string describe(const Source& source) {
  struct Describe {
    std::string operator()(const FileSource& s) const {
      if (s.start_s == 0 && s.length_s == 0) return s.file;
      return fmt::format("{} at {} s", s.file, s.start_s);
    }
    std::string operator()(const BlobSource& s) const {
      return fmt::format("{} row {}", s.file, s.row);
    }
    std::string operator()(const SyntheticSource& s) const {
      return fmt::format("synthetic {}", s.number);
    }
    std::string operator()(const SilentSource&) const { return "silence"; }
  };
  return std::visit(Describe{}, source);
}

}  // namespace xp::data
