#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/schema/dataset.h"
#include "data/clip.h"

struct stat;

namespace xp::data {

/// A sound file that was read through: what fstat said before the first byte and after the last.
struct FileRead {
  const std::string& file;
  const struct stat& before;
  const struct stat& after;
  int64_t began_ns;  ///< wall clock
  std::span<const std::byte> content;
};

struct DecodeOptions {
  int64_t rate_hz = 16000;
  schema::ResampleQuality quality = schema::ResampleQuality::kHq;  ///< soxr's recipe
  double shortest_s = 0.025;  ///< shorter clips are bad: they hold no window of a spectrogram
  double longest_s = 3600;    ///< longer clips are bad: most likely a whole recording by mistake
  /// Told of each file that is read, by the thread that reads it; may be empty.
  std::function<void(const FileRead&)> file_was_read;
};

/// One clip in memory: mono float32, nominal range [-1, 1] (codecs may overshoot a little).
struct Wave {
  std::vector<float> samples;
  int64_t source_rate_hz = 0;
  int64_t source_channels = 0;
  double source_s = 0;  ///< duration before resampling
  std::string problem;  ///< why the clip is bad, in words for the report; empty = good
};

/// Sound of any format that libsndfile reads (core/schema/sound_files.h has their endings), any
/// rate and number of channels, to mono at one rate: channels are averaged, then resampled by soxr.
/// A file that cannot be decoded, is empty, too short or too long yields a Wave whose `problem`
/// says so; what is wrong with this machine (no memory) throws.
///
/// One per thread: it keeps its buffers from clip to clip.
class Decoder {
 public:
  explicit Decoder(const DecodeOptions& options);
  ~Decoder();
  Decoder(Decoder&&) noexcept;

  Wave read(const Source& source);
  /// An encoded file in memory.
  Wave read_bytes(std::span<const std::byte> encoded);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Why a sound of so many samples is bad for a set; empty = it is good.
std::string why_unfit(size_t samples, int64_t rate_hz, bool finite, double shortest_s);

/// The largest magnitude.
float peak_of(std::span<const float> samples);
/// What the samples of a clip are divided by before they become 16 bits, so that none is cut off: 1
/// where all lie within full scale, [-1, 1], else a little more than their peak.
float pcm_scale(std::span<const float> samples);
float pcm_scale(float peak);
/// By how much the peak of a clip of that scale lies above full scale, in dB; 0 for a scale of 1.
double above_full_scale_db(float scale);

/// Samples to 16 bits, rounded to nearest: x 32768 / scale, clipped; and back (x scale / 32768).
/// What shards store.
void to_pcm16(std::span<const float> samples, std::span<int16_t> pcm, float scale = 1);
void from_pcm16(std::span<const int16_t> pcm, std::span<float> samples, float scale = 1);
/// `samples` as a shard gives them back, bit for bit: there and back.
void round_as_stored(std::span<float> samples);
void round_as_stored(std::span<float> samples, float scale);

}  // namespace xp::data
