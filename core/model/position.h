#pragma once

#include <ATen/core/Tensor.h>

#include "core/model/tokens.h"

namespace xp::model {

/// Fits a joint position embedding [F, T, D] to another grid as AST, SSAST and TorchOnlyAST do:
/// time first, then frequency; a shorter axis is cut from its middle (start length / 2 - wanted /
/// 2, integers), a longer one is stretched bilinearly (corners not aligned). An equal axis stays.
/// Differentiable.
at::Tensor fit_grid(const at::Tensor& grid, Grid wanted);

/// A separate embedding out of a joint image embedding [H, W, D] as PaSST makes it: bicubic to
/// `wanted` (corners not aligned), then the mean over time for rows [F, D] and over frequency for
/// columns [T, D].
struct SeparatePosition {
  at::Tensor freq, time;
};
SeparatePosition separate_grid(const at::Tensor& grid, Grid wanted);

}  // namespace xp::model
