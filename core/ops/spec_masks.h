#pragma once

#include <cstdint>

namespace xp {
class Rng;
}

namespace xp::ops {

/// A masked stretch: start <= i < start + width.
struct Stretch {
  int64_t start = 0;
  int64_t width = 0;
};

/// One frequency mask and one time mask (SpecAugment, Park et al. 2019, without time warping).
struct Masks {
  Stretch bins;
  Stretch frames;
};

/// torchaudio's mask_along_axis with p = 1, in float32 as there: value = u1 * limit, start = the
/// integer part of u2 * (size - value), width = the integer part of value; u1, u2 in [0, 1). limit
/// 0: no mask.
Stretch mask_stretch(float u1, float u2, int64_t limit, int64_t size);

/// Masks of at most freq_limit - 1 bins and time_limit - 1 frames of a [bins, frames] spectrogram,
/// in the order u1, u2 of the bins, u1, u2 of the frames. Always draws four numbers.
Masks draw_masks(int64_t freq_limit, int64_t time_limit, int64_t bins, int64_t frames, Rng& rng);

/// Writes `fill` into the masked stretches of mel [bins, frames], rows one after the other.
void fill_masks(float* mel, int64_t bins, int64_t frames, const Masks& masks, float fill);

}  // namespace xp::ops
