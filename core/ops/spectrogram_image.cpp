#include "core/ops/spectrogram_image.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/error.h"

namespace xp::ops {
namespace {

struct Colour {
  double red, green, blue;
};

/// Equally spaced from dark to bright, of evenly rising lightness.
constexpr std::array<Colour, 6> kMap = {{
    {4, 4, 12},       // black
    {52, 20, 96},     // violet
    {132, 36, 110},   // plum
    {214, 78, 66},    // red-orange
    {246, 158, 52},   // orange
    {252, 248, 190},  // pale yellow
}};

std::array<uint8_t, 3> colour_of(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * (kMap.size() - 1);
  const auto i = std::min(static_cast<size_t>(at), kMap.size() - 2);
  const double w = at - static_cast<double>(i);
  const auto blend = [w](double a, double b) {
    return static_cast<uint8_t>(std::lround(a + (b - a) * w));
  };
  return {blend(kMap[i].red, kMap[i + 1].red), blend(kMap[i].green, kMap[i + 1].green),
          blend(kMap[i].blue, kMap[i + 1].blue)};
}

struct Range {
  double low, high;
};

Range finite_range(const float* mel, int64_t bins, int64_t frames, int64_t stride) {
  Range range{INFINITY, -INFINITY};
  for (int64_t f = 0; f < bins; ++f) {
    for (int64_t t = 0; t < frames; ++t) {
      const double v = static_cast<double>(mel[f * stride + t]);
      if (!std::isfinite(v)) continue;
      range.low = std::min(range.low, v);
      range.high = std::max(range.high, v);
    }
  }
  if (range.low > range.high) return {0, 1};
  return range;
}

}  // namespace

Image spectrogram_image(const float* mel, int64_t bins, int64_t frames, int64_t row_stride,
                        const SpectrogramImageOptions& options) {
  XP_CHECK(options.scale_x >= 1 && options.scale_y >= 1, "a pixel is the least");
  Range range{options.low, options.high};
  if (range.low == range.high) range = finite_range(mel, bins, frames, row_stride);
  const double width = range.high > range.low ? range.high - range.low : 1;
  Image image;
  image.width = frames * options.scale_x;
  image.height = bins * options.scale_y;
  image.rgb.reserve(static_cast<size_t>(3 * image.width * image.height));
  for (int64_t y = 0; y < image.height; ++y) {
    const float* row = mel + (bins - 1 - y / options.scale_y) * row_stride;
    for (int64_t x = 0; x < image.width; ++x) {
      const double v = static_cast<double>(row[x / options.scale_x]);
      const std::array<uint8_t, 3> pixel =
          std::isnan(v) ? std::array<uint8_t, 3>{0, 200, 60} : colour_of((v - range.low) / width);
      image.rgb.insert(image.rgb.end(), pixel.begin(), pixel.end());
    }
  }
  return image;
}

}  // namespace xp::ops
