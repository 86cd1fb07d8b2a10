#pragma once

#include <utility>

#include "core/model/reduce/tome.h"

/// Token merging by tensor operations, for GPUs: no copy to the host, no synchronisation. Any
/// device; the tests compare it with the CPU's kernels.
namespace xp::model::detail {

/// As match_tokens for clips without padding. keys: [B, H, N, d], r already clamped.
Match match_on_device(const at::Tensor& keys, int64_t r, Protect protect);

/// As merge_tokens, without autograd.
std::pair<at::Tensor, at::Tensor> merge_on_device(const at::Tensor& x, const at::Tensor& size,
                                                  const at::Tensor& target, int64_t after);

at::Tensor merge_grad_on_device(const at::Tensor& grad, const at::Tensor& size,
                                const at::Tensor& out_size, const at::Tensor& target);

}  // namespace xp::model::detail
