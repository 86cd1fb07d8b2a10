#include "core/ops/spec_masks.h"

#include <algorithm>

#include "core/base/rng.h"

namespace xp::ops {

Stretch mask_stretch(float u1, float u2, int64_t limit, int64_t size) {
  if (limit < 1) return {};
  const float value = u1 * static_cast<float>(limit);
  // A limit beyond the size could make this negative; torchaudio then masks from the front.
  const float start = std::max(0.0F, u2 * (static_cast<float>(size) - value));
  Stretch out;
  out.start = std::min(static_cast<int64_t>(start), size);
  out.width = std::min(static_cast<int64_t>(value), size - out.start);
  return out;
}

Masks draw_masks(int64_t freq_limit, int64_t time_limit, int64_t bins, int64_t frames, Rng& rng) {
  // 24 bits: the largest uniform float below 1 stays below 1.
  const auto next = [&rng] { return static_cast<float>(rng() >> 8) * 0x1p-24F; };
  const float a = next(), b = next(), c = next(), d = next();
  return {mask_stretch(a, b, freq_limit, bins), mask_stretch(c, d, time_limit, frames)};
}

void fill_masks(float* mel, int64_t bins, int64_t frames, const Masks& masks, float fill) {
  for (int64_t f = 0; f < bins; ++f) {
    float* row = mel + f * frames;
    const bool whole = f >= masks.bins.start && f < masks.bins.start + masks.bins.width;
    const int64_t start = whole ? 0 : masks.frames.start;
    std::fill_n(row + start, whole ? frames : masks.frames.width, fill);
  }
}

}  // namespace xp::ops
