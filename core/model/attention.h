#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace xp::model {

/// Ways to compute softmax(q k^T / sqrt(d) + bias) v; they differ in speed alone.
enum class AttentionPath { kSdpa, kEager };

/// The path for `tokens` N keys in `dtype`, forward only or with backward, on the CPU or a GPU: a
/// table made from measurements (bench/model/attention.md), never from a timing at run time.
AttentionPath attention_path(int64_t tokens, at::ScalarType dtype, bool backward, bool cpu);

/// q, k, v: [B, H, N, d]; key_bias: [B, N] added to the logits of each key (-inf: that key is not
/// seen), or undefined. The bias is taken in the type of q: a wider one would make the N x N scores
/// wide too. Every clip needs a key that is seen. Returns [B, H, N, d].
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& key_bias);

/// The same by a given path: for the bench and the tests that compare both.
at::Tensor attention_by(AttentionPath path, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const at::Tensor& key_bias);

}  // namespace xp::model
