#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace xp {
class Rng;
}
namespace xp::schema {
struct AugmentOptions;
}

namespace xp::data {

/// Impulse responses at the clips' rate: mono, each as it is in its file.
struct ImpulseResponses {
  std::vector<std::vector<float>> waves;
};

/// Reads `count` (0 = all) sound files of a folder from number `first` on in name order, resampled
/// to `rate_hz`. Throws Error (kData) when the folder is missing or there are not so many.
std::shared_ptr<const ImpulseResponses> read_impulse_responses(const std::filesystem::path& folder,
                                                               int64_t rate_hz, int64_t first = 0,
                                                               int64_t count = 0);

/// Random changes of a waveform, in this order (PaSST audioset/dataset.py): impulse response, gain,
/// [cut or pad], roll, mixing with another clip of the split (AST src/dataloader.py and PaSST
/// MixupDataset).
struct WaveAugment {
  double ir_p = 0;                              ///< probability of an impulse response
  std::shared_ptr<const ImpulseResponses> irs;  ///< needed where ir_p > 0
  int64_t gain_db = 0;                          ///< g: a whole number of dB in [-g, g - 1]
  int64_t roll = 0;      ///< s: circular shift by a whole number of samples in [-s, s]
  double mix_p = 0;      ///< probability of a partner
  double mix_beta = 10;  ///< weight ~ Beta(mix_beta, mix_beta)
  bool mix_max = false;  ///< weight of the first clip = max(l, 1 - l)

  bool any() const { return changes_values() || roll > 0; }
  bool changes_values() const { return ir_p > 0 || gain_db > 0 || mix_p > 0; }
};

/// From the recipe; reads the impulse responses where `ir_p` > 0.
WaveAugment wave_augment(const schema::AugmentOptions& options, int64_t rate_hz);

/// One clip's own changes. A partner gets its own.
struct ClipDraw {
  int64_t ir = -1;  ///< which impulse response, -1 = none
  int64_t gain_db = 0;
  int64_t roll = 0;
};
/// What is drawn for one position of an epoch.
struct WaveDraw {
  ClipDraw clip;
  int64_t partner = -1;  ///< index into the split's rows, -1 = none
  ClipDraw partner_clip;
  float mix = 1;  ///< weight of the first clip
};

/// Draws for one position; the numbers used do not depend on each other's outcome. `clips`: rows of
/// the split.
WaveDraw draw_wave(const WaveAugment& augment, int64_t clips, Rng& rng);

/// Impulse response then gain, in place; `wave` keeps its length (the tail of the convolution is
/// cut).
void apply_clip(const WaveAugment& augment, const ClipDraw& draw, std::span<float> wave);
/// x[i] becomes x[(i - shift) mod n].
void roll_wave(std::span<float> wave, int64_t shift);
void roll_wave(std::span<int16_t> wave, int64_t shift);

/// wave = mix * (wave - mean) + (1 - mix) * (partner - mean), the result's mean removed as well.
/// The partner is cut or zero-padded at its tail to the first clip's length.
void mix_waves(std::span<float> wave, std::span<const float> partner, float mix);

}  // namespace xp::data
