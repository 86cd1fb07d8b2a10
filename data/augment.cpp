#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/rng.h"
#include "core/schema/augment.h"
#include "data/convolve.h"
#include "data/decode.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

double mean_of(std::span<const float> wave) {
  double sum = 0;
  for (const float x : wave) sum += static_cast<double>(x);
  return wave.empty() ? 0 : sum / static_cast<double>(wave.size());
}

/// Every number is drawn whether it is used or not, so that one option does not move another's
/// draws.
ClipDraw draw_clip(const WaveAugment& augment, Rng& rng) {
  ClipDraw draw;
  const bool with_ir = rng.uniform() < augment.ir_p;
  const double which = rng.uniform();
  const double gain = rng.uniform();
  const double shift = rng.uniform();
  if (with_ir)
    draw.ir = static_cast<int64_t>(which * static_cast<double>(augment.irs->waves.size()));
  draw.gain_db = static_cast<int64_t>(std::floor(gain * static_cast<double>(2 * augment.gain_db))) -
                 augment.gain_db;
  draw.roll = static_cast<int64_t>(std::floor(shift * static_cast<double>(2 * augment.roll + 1))) -
              augment.roll;
  return draw;
}

template <class Sample>
void roll(std::span<Sample> wave, int64_t shift) {
  const auto n = static_cast<int64_t>(wave.size());
  if (n == 0) return;
  const int64_t left = ((-shift % n) + n) % n;
  std::rotate(wave.begin(), wave.begin() + left, wave.end());
}

}  // namespace

std::shared_ptr<const ImpulseResponses> read_impulse_responses(const fs::path& folder,
                                                               int64_t rate_hz, int64_t first,
                                                               int64_t count) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(fmt::format("augment.ir_root: there is no folder {}", folder.string()),
                Exit::kData);
  }
  auto irs = std::make_shared<ImpulseResponses>();
  DecodeOptions options;
  options.rate_hz = rate_hz;
  options.shortest_s = 0;
  options.longest_s = 60;
  Decoder decoder(options);
  const std::vector<std::string> names = sound_files(folder, "", true);
  const auto there = static_cast<int64_t>(names.size());
  if (there == 0)
    throw Error(fmt::format("augment.ir_root: no sound file in {}", folder.string()), Exit::kData);
  if (first >= there || count > there - first) {
    throw Error(fmt::format("augment.ir_first = {}, augment.ir_count = {}: there are {} impulse "
                            "responses in {}",
                            first, count, there, folder.string()),
                Exit::kData);
  }
  const auto wanted = std::span(names).subspan(
      static_cast<size_t>(first), static_cast<size_t>(count > 0 ? count : there - first));
  for (const std::string& name : wanted) {
    Wave wave = decoder.read(FileSource{(folder / name).string()});
    if (!wave.problem.empty())
      throw Error(fmt::format("impulse response {}: {}", (folder / name).string(), wave.problem),
                  Exit::kData);
    if (wave.samples.empty()) {
      throw Error(fmt::format("impulse response {}: too short, no sample of it is left at {} Hz",
                              (folder / name).string(), rate_hz),
                  Exit::kData);
    }
    irs->waves.push_back(std::move(wave.samples));
  }
  return irs;
}

WaveAugment wave_augment(const schema::AugmentOptions& options, int64_t rate_hz) {
  WaveAugment augment;
  augment.ir_p = options.ir_p;
  augment.gain_db = options.gain_db;
  augment.roll = options.sample_roll;
  augment.mix_p = options.wave_mix_p;
  augment.mix_beta = options.wave_mix_beta;
  augment.mix_max = options.wave_mix_max;
  if (options.ir_p > 0) {
    if (options.ir_root.empty())
      throw Error("augment.ir_p is set, but not augment.ir_root, the folder of impulse responses");
    augment.irs = read_impulse_responses(expand_user(options.ir_root), rate_hz, options.ir_first,
                                         options.ir_count);
  }
  return augment;
}

WaveDraw draw_wave(const WaveAugment& augment, int64_t clips, Rng& rng) {
  WaveDraw draw;
  draw.clip = draw_clip(augment, rng);
  const bool mixed = rng.uniform() < augment.mix_p;
  const auto partner = static_cast<int64_t>(rng.below(static_cast<uint64_t>(clips)));
  draw.partner_clip = draw_clip(augment, rng);
  if (!mixed) return draw;
  draw.partner = partner;
  // The last draw: the rejection inside Beta takes a varying count of numbers.
  const double l = rng.beta(augment.mix_beta, augment.mix_beta);
  draw.mix = static_cast<float>(augment.mix_max ? std::max(l, 1 - l) : l);
  return draw;
}

void apply_clip(const WaveAugment& augment, const ClipDraw& draw, std::span<float> wave) {
  if (draw.ir >= 0) {
    const std::vector<float> wet =
        convolve_head(wave, augment.irs->waves.at(static_cast<size_t>(draw.ir)));
    std::copy(wet.begin(), wet.end(), wave.begin());
  }
  if (draw.gain_db != 0) {
    const auto factor =
        static_cast<float>(std::pow(10.0, static_cast<double>(draw.gain_db) / 20.0));
    for (float& x : wave) x *= factor;
  }
}

void roll_wave(std::span<float> wave, int64_t shift) { roll(wave, shift); }
void roll_wave(std::span<int16_t> wave, int64_t shift) { roll(wave, shift); }

void mix_waves(std::span<float> wave, std::span<const float> partner, float mix) {
  const auto own_mean = static_cast<float>(mean_of(wave));
  const auto partner_mean = static_cast<float>(mean_of(partner));
  const size_t both = std::min(wave.size(), partner.size());
  for (size_t i = 0; i < both; ++i)
    wave[i] = mix * (wave[i] - own_mean) + (1 - mix) * (partner[i] - partner_mean);
  for (size_t i = both; i < wave.size(); ++i) wave[i] = mix * (wave[i] - own_mean);
  const auto rest = static_cast<float>(mean_of(wave));
  for (float& x : wave) x -= rest;
}

}  // namespace xp::data
