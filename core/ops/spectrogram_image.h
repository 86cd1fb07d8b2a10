#pragma once

#include <cstdint>
#include <vector>

namespace xp::ops {

/// Pixels of a picture, row by row from the top, three bytes (red, green, blue) each.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  ///< height * width * 3
};

struct SpectrogramImageOptions {
  double low =
      0;  ///< value of the darkest colour; low == high: the smallest and largest finite value
  double high = 0;      ///< value of the brightest one
  int64_t scale_x = 1;  ///< pixels a frame
  int64_t scale_y = 1;  ///< pixels a mel bin
};

/// A spectrogram [F, T] (row stride in floats) as a picture T * scale_x wide: low bins at the
/// bottom, a map from black over violet and orange to pale yellow whose lightness rises evenly, so
/// that it survives grey printing. Values outside [low, high] are clamped; NaN is drawn in green,
/// to be seen.
Image spectrogram_image(const float* mel, int64_t bins, int64_t frames, int64_t row_stride,
                        const SpectrogramImageOptions& options = {});

}  // namespace xp::ops
