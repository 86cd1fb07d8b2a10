#include "core/model/position.h"

#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>

namespace xp::model {
namespace {

/// Channels first with a batch of one, as the resampling operations want it.
at::Tensor image_of(const at::Tensor& grid) { return grid.permute({2, 0, 1}).unsqueeze(0); }
at::Tensor grid_of(const at::Tensor& image) { return image[0].permute({1, 2, 0}); }

at::Tensor fit_axis(const at::Tensor& grid, int64_t axis, int64_t wanted) {
  const int64_t there = grid.size(axis);
  if (wanted == there) return grid;
  if (wanted < there) return grid.narrow(axis, there / 2 - wanted / 2, wanted);
  const int64_t rows = axis == 0 ? wanted : grid.size(0);
  const int64_t columns = axis == 1 ? wanted : grid.size(1);
  return grid_of(at::upsample_bilinear2d(image_of(grid), {rows, columns}, /*align_corners=*/false));
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
