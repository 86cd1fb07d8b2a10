#include "core/model/position.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/matmul.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/zeros.h>

namespace xp::model {
namespace {

/// Channels first with a batch of one, as the resampling operations want it.
at::Tensor image_of(const at::Tensor& grid) { return grid.permute({2, 0, 1}).unsqueeze(0); }
at::Tensor grid_of(const at::Tensor& image) { return image[0].permute({1, 2, 0}); }

/// [wanted, there] weights of linear interpolation between the centres of cells (align_corners =
/// false of torch.nn.functional.interpolate). As a product its gradient is a product too: the same
/// bits each time on a GPU, where the resampling operation adds by index.
at::Tensor stretching(int64_t there, int64_t wanted, const at::TensorOptions& options) {
  at::Tensor out = at::zeros({wanted, there}, at::kFloat);
  float* const weights = out.mutable_data_ptr<float>();
  const double scale = static_cast<double>(there) / static_cast<double>(wanted);
  for (int64_t to = 0; to < wanted; ++to) {
    const double from = std::max(0.0, (static_cast<double>(to) + 0.5) * scale - 0.5);
    const auto low = std::min(static_cast<int64_t>(std::floor(from)), there - 1);
    const int64_t high = std::min(low + 1, there - 1);
    const double share = from - static_cast<double>(low);
    weights[to * there + low] += static_cast<float>(1 - share);
    weights[to * there + high] += static_cast<float>(share);
  }
  return out.to(options);
}

at::Tensor fit_axis(const at::Tensor& grid, int64_t axis, int64_t wanted) {
  const int64_t there = grid.size(axis);
  if (wanted == there) return grid;
  if (wanted < there) return grid.narrow(axis, there / 2 - wanted / 2, wanted);
  const at::Tensor weights = stretching(there, wanted, grid.options());
  if (axis == 1) return at::matmul(weights, grid);
  return at::matmul(weights, grid.flatten(1)).view({wanted, grid.size(1), grid.size(2)});
}

}  // namespace

at::Tensor fit_grid(const at::Tensor& grid, Grid wanted) {
  return fit_axis(fit_axis(grid, 1, wanted.t), 0, wanted.f);
}

SeparatePosition separate_grid(const at::Tensor& grid, Grid wanted) {
  const at::Tensor fitted = grid_of(
      at::upsample_bicubic2d(image_of(grid), {wanted.f, wanted.t}, /*align_corners=*/false));
  return {fitted.mean(1), fitted.mean(0)};
}

}  // namespace xp::model
