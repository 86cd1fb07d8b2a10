#include "core/model/attention.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

namespace xp::model {

AttentionPath attention_path(int64_t tokens, at::ScalarType dtype, bool backward, bool cpu) {
  // The backward pass of SDPA in 16 bits does not use the CPU's matrix units
  // (bench/model/attention.md).
  constexpr int64_t kEagerBelow = 900;
  const bool half = dtype == at::kBFloat16 || dtype == at::kHalf;
  if (cpu && half && backward && tokens < kEagerBelow) return AttentionPath::kEager;
  return AttentionPath::kSdpa;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& key_bias) {
  const bool backward =
      at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  const AttentionPath path = attention_path(k.size(2), q.scalar_type(), backward, q.is_cpu());
  return attention_by(path, q, k, v, key_bias);
}

at::Tensor attention_by(AttentionPath path, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const at::Tensor& key_bias) {
  at::Tensor bias;
  if (key_bias.defined()) {
    bias = key_bias.to(q.scalar_type()).unsqueeze(1).unsqueeze(1);  // [B, 1, 1, N]
  }
  if (path == AttentionPath::kSdpa) {
    std::optional<at::Tensor> mask;
    // On a GPU [B, 1, 1, N] is padded as it is and then expanded, [B, 1, N, N] is written out.
    if (bias.defined()) mask = q.is_cpu() ? bias.expand({-1, -1, q.size(2), -1}) : bias;
    return at::scaled_dot_product_attention(q, k, v, mask);
  }
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  at::Tensor scores = at::matmul(q * scale, k.transpose(2, 3));
  if (bias.defined()) scores = scores + bias;
  return at::matmul(at::softmax(scores, -1).to(v.scalar_type()), v);
}

}  // namespace xp::model
