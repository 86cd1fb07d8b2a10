#include "core/model/reduce/merge_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <ATen/ops/empty.h>

#include "core/base/error.h"

namespace xp::model {
namespace {

using Colour = std::array<double, 3>;

/// Hues a golden angle apart: neighbours in the list look different.
Colour colour_of(int64_t index) {
  const double hue = std::fmod(static_cast<double>(index) * 0.618034, 1.0) * 6;
  const auto channel = [&](double shift) {
    const double k = std::fmod(shift + hue, 6.0);
    return 0.35 + 0.65 * (1 - std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  };
  return {channel(5), channel(3), channel(1)};
}

/// Token of each patch of the grid, row-major; -1 = the patch was dropped.
std::vector<int64_t> token_map(const Output& output, int64_t clip) {
  std::vector<int64_t> tokens(static_cast<size_t>(output.grid.count()), -1);
  const at::Tensor places =
      output.places.select(0, output.places.size(0) == 1 ? 0 : clip).cpu().contiguous();
  const at::Tensor source = output.source.select(0, clip).cpu().contiguous();
  const int64_t special = source.size(0) - places.size(0);
  for (int64_t i = 0; i < places.size(0); ++i) {
    const int64_t place = places.const_data_ptr<int64_t>()[i];
    tokens[static_cast<size_t>(place)] = source.const_data_ptr<int64_t>()[special + i];
  }
  return tokens;
}

}  // namespace

Picture merge_picture(const at::Tensor& mel, const Output& output, int64_t clip,
                      const PatchLayout& layout, int64_t scale) {
  XP_CHECK(output.source.defined() && output.places.defined(), "a forward pass with trace");
  const at::Tensor values = mel.detach().to(at::kCPU, at::kFloat).contiguous();
  const int64_t bins = values.size(0), frames = values.size(1);
  const float* const value = values.const_data_ptr<float>();
  const auto [low, high] = std::minmax_element(value, value + bins * frames);
  const double range = std::max(static_cast<double>(*high) - *low, 1e-9);

  const std::vector<int64_t> tokens = token_map(output, clip);
  std::map<int64_t, int64_t> patches_of;
  for (const int64_t token : tokens) ++patches_of[token];
  const Grid grid = output.grid;
  // The patch that shows at a point: the last one that starts at or before it. -2 = none.
  const auto token_at = [&](int64_t bin, int64_t frame) -> int64_t {
    const int64_t f = std::min(bin / layout.stride_f, grid.f - 1);
    const int64_t t = std::min(frame / layout.stride_t, grid.t - 1);
    if (bin >= f * layout.stride_f + layout.patch_f ||
        frame >= t * layout.stride_t + layout.patch_t)
      return -2;
    return tokens[static_cast<size_t>(f * grid.t + t)];
  };

  Picture picture{frames * scale, bins * scale, {}};
  picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
  for (int64_t y = 0; y < picture.height; ++y) {
    const int64_t bin = bins - 1 - y / scale;
    for (int64_t x = 0; x < picture.width; ++x) {
      const int64_t frame = x / scale;
      const int64_t token = token_at(bin, frame);
      const double grey = (static_cast<double>(value[bin * frames + frame]) - *low) / range;
      Colour pixel{grey, grey, grey};
      if (token >= 0 && patches_of.at(token) > 1) {
        const bool left = x % scale == 0 && frame > 0 && token_at(bin, frame - 1) != token;
        const bool above = y % scale == 0 && bin + 1 < bins && token_at(bin + 1, frame) != token;
        const Colour colour = colour_of(token);
        for (size_t c = 0; c < 3; ++c)
          pixel[c] = left || above ? colour[c] : 0.55 * grey + 0.45 * colour[c];
      }
      for (size_t c = 0; c < 3; ++c) {
        picture.rgb[static_cast<size_t>((y * picture.width + x) * 3) + c] =
            static_cast<uint8_t>(std::lround(255 * std::clamp(pixel[c], 0.0, 1.0)));
      }
    }
  }
  return picture;
}

}  // namespace xp::model
