// How it works: decoding and resampling are streams (SoundReader, Resampler), but what a shard
// would hold is scaled by the peak of the whole clip. So the file is read twice: once through for
// its length and peak, then as its stretches are asked for, through a buffer that slides. Of a
// short file the first reading is kept, and there is no second.
#include "data/wave_reader.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "data/encoded.h"
#include "data/resample.h"
#include "data/sound_reader.h"

namespace xp::data {
namespace {

/// One way through a file: its samples at the wanted rate, block by block.
class Way {
 public:
  Way(Encoded& file, const DecodeOptions& options)
      : options_(options), sound_(file, {0, 0, options.longest_s}) {
    if (sound_.problem().empty())
      resampler_.emplace(sound_.rate_hz(), options.rate_hz, options.quality);
  }

  /// Appends the next samples; false at the end.
  bool next(std::vector<float>& samples) {
    if (!resampler_) return false;
    mono_.clear();
    if (sound_.next(mono_)) {
      resampler_->feed(mono_, samples);
    } else {
      resampler_->finish(samples);
      resampler_.reset();
    }
    return true;
  }

  /// Once `next` was false.
  std::string problem() const {
    if (!sound_.problem().empty()) return sound_.problem();
    return why_unfit(sound_.read(), sound_.rate_hz(), sound_.finite(), options_.shortest_s);
  }

 private:
  const DecodeOptions& options_;
  SoundReader sound_;
  std::optional<Resampler> resampler_;
  std::vector<float> mono_;
};

}  // namespace

struct WaveReader::Impl {
  Impl(const std::string& path, const DecodeOptions& how) : name(path), options(how), file(path) {}

  void read_through(size_t held_whole);
  void hold_from(int64_t begin);
  void hold_to(int64_t end);

  std::string name;
  DecodeOptions options;
  EncodedFile file;
  int64_t samples = 0;
  float scale = 1;
  std::optional<Way> second;  ///< none where all is held
  std::vector<float> held;    ///< the samples from held_at on
  int64_t held_at = 0;
};

void WaveReader::Impl::read_through(size_t held_whole) {
  Way first(file, options);
  std::vector<float> block;
  float peak = 0;
  bool all_held = true;
  while (first.next(block)) {
    throw_if_stopped();
    peak = std::max(peak, peak_of(block));
    samples += static_cast<int64_t>(block.size());
    all_held = all_held && samples <= static_cast<int64_t>(held_whole);
    if (all_held) held.insert(held.end(), block.begin(), block.end());
    block.clear();
  }
  const std::string problem = file.problem().empty() ? first.problem() : file.problem();
  if (!problem.empty()) throw Error(Place{name}, problem, Exit::kData);
  scale = pcm_scale(peak);
  if (all_held) {
    round_as_stored(held, scale);
  } else {
    held = {};
    second.emplace(file, options);
  }
}

/// Lets go of what lies before `begin`.
void WaveReader::Impl::hold_from(int64_t begin) {
  const auto gone = std::min<int64_t>(begin - held_at, static_cast<int64_t>(held.size()));
  held.erase(held.begin(), held.begin() + gone);
  held_at += gone;
}

void WaveReader::Impl::hold_to(int64_t end) {
  while (held_at + static_cast<int64_t>(held.size()) < end) {
    const size_t before = held.size();
    if (!second->next(held)) throw Error(Place{name}, "changed while it was read", Exit::kData);
    round_as_stored(std::span(held).subspan(before), scale);
  }
}

WaveReader::WaveReader(const std::string& file, const DecodeOptions& options, size_t held_whole)
    : impl_(std::make_unique<Impl>(file, options)) {
  impl_->read_through(held_whole);
}
WaveReader::~WaveReader() = default;
WaveReader::WaveReader(WaveReader&&) noexcept = default;

int64_t WaveReader::samples() const { return impl_->samples; }

void WaveReader::read(int64_t begin, std::span<float> out) {
  Impl& i = *impl_;
  const auto count = static_cast<int64_t>(out.size());
  XP_CHECK(begin >= i.held_at && begin + count <= i.samples, "samples that lie behind, or nowhere");
  // What lies between is passed over block by block.
  constexpr int64_t kBlock = 1 << 16;
  while (i.second && i.held_at < begin) {
    i.hold_from(begin);
    if (i.held_at < begin) i.hold_to(std::min(begin, i.held_at + kBlock));
  }
  if (i.second) i.hold_to(begin + count);
  const auto from = i.held.begin() + (begin - i.held_at);
  std::copy(from, from + count, out.begin());
}

}  // namespace xp::data
