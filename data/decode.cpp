#include "data/decode.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "data/blobs.h"
#include "data/encoded.h"
#include "data/resample.h"
#include "data/sound_reader.h"
#include "data/synthesis.h"

namespace xp::data {
namespace {

Wave bad(std::string problem) {
  Wave wave;
  wave.problem = std::move(problem);
  return wave;
}

/// The file's bytes into `bytes`, or why not.
std::optional<std::string> slurp(const std::string& path, std::vector<std::byte>& bytes,
                                 const std::function<void(const FileRead&)>& file_was_read) {
  const int64_t began_ns = file_was_read ? wall_ns() : 0;
  EncodedFile file(path);
  if (!file.problem().empty()) return file.problem();
  bytes.resize(file.size());
  const size_t got = file.read(0, bytes);
  struct stat after {};
  if (file_was_read && file.look(after))
    file_was_read({path, file.opened(), after, began_ns, std::span(bytes).first(got)});
  if (!file.problem().empty()) return file.problem();
  return std::nullopt;
}

}  // namespace

std::string why_unfit(size_t samples, int64_t rate_hz, bool finite, double shortest_s) {
  if (samples == 0) return "empty: no samples";
  if (!finite) return "holds samples that are not numbers";
  const double seconds = static_cast<double>(samples) / static_cast<double>(rate_hz);
  if (seconds >= shortest_s) return "";
  return fmt::format("too short: {:.4f} s, at least {} s are needed", seconds, shortest_s);
}

struct Decoder::Impl {
  DecodeOptions options;
  std::vector<std::byte> file;
  std::vector<float> mono;
  BlobFile blobs;

  Wave decode(std::span<const std::byte> encoded, double start_s, double length_s);
  Wave finish(std::span<const float> sound, int64_t rate_hz, int64_t channels, bool finite) const;
};

Wave Decoder::Impl::finish(std::span<const float> sound, int64_t rate_hz, int64_t channels,
                           bool finite) const {
  Wave wave;
  wave.source_rate_hz = rate_hz;
  wave.source_channels = channels;
  wave.source_s = static_cast<double>(sound.size()) / static_cast<double>(rate_hz);
  wave.problem = why_unfit(sound.size(), rate_hz, finite, options.shortest_s);
  if (wave.problem.empty())
    wave.samples = resample(sound, rate_hz, options.rate_hz, options.quality);
  return wave;
}

Wave Decoder::Impl::decode(std::span<const std::byte> encoded, double start_s, double length_s) {
  EncodedMemory bytes(encoded);
  SoundReader sound(bytes, {start_s, length_s, options.longest_s});
  mono.clear();
  mono.reserve(sound.promised());
  while (sound.next(mono)) continue;
  if (!sound.problem().empty()) return bad(sound.problem());
  return finish(mono, sound.rate_hz(), sound.channels(), sound.finite());
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
    return impl_->finish(synthesize(*synthetic, rate), rate, 1, true);
  }
  const auto& silent = std::get<SilentSource>(source);
  const auto samples =
      static_cast<size_t>(std::llround(silent.length_s * static_cast<double>(rate)));
  return impl_->finish(std::vector<float>(samples, 0.0F), rate, 1, true);
}

float peak_of(std::span<const float> samples) {
  float peak = 0;
  for (const float x : samples) peak = std::max(peak, std::abs(x));
  return peak;
}

float pcm_scale(float peak) {
  return peak <= 1 ? 1.0F : peak * (32768.0F / 32767.0F);  // so that the peak is 32767
}

float pcm_scale(std::span<const float> samples) { return pcm_scale(peak_of(samples)); }

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

void round_as_stored(std::span<float> samples, float scale) {
  std::vector<int16_t> pcm(samples.size());
  to_pcm16(samples, pcm, scale);
  from_pcm16(pcm, samples, scale);
}

void round_as_stored(std::span<float> samples) { round_as_stored(samples, pcm_scale(samples)); }

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
