#include "core/model/block.h"

#include <ATen/ops/gelu.h>

#include "core/model/attention.h"
#include "core/model/recompute.h"

namespace xp::model {

Block::Block(int64_t dim, int64_t heads, int64_t hidden, double norm_eps, const Init& init)
    : heads_(heads),
      norm1_(dim, norm_eps, init.child("norm1")),
      norm2_(dim, norm_eps, init.child("norm2")) {
  attn_.qkv = Linear(dim, 3 * dim, Part::kQkv, init.child("attn").child("qkv"));
  attn_.proj = Linear(dim, dim, Part::kAttention, init.child("attn").child("proj"));
  mlp_.fc1 = Linear(dim, hidden, Part::kMlp, init.child("mlp").child("fc1"));
  mlp_.fc2 = Linear(hidden, dim, Part::kMlp, init.child("mlp").child("fc2"));
}

at::Tensor Block::attend(const at::Tensor& x, const at::Tensor& key_bias, const Drop& drop,
                         at::Tensor* metric) const {
  const int64_t batch = x.size(0), tokens = x.size(1), dim = x.size(2);
  const at::Tensor qkv =
      attn_.qkv(norm1_(x)).view({batch, tokens, 3, heads_, dim / heads_}).permute({2, 0, 3, 1, 4});
  const at::Tensor keys = qkv[1];
  if (metric != nullptr) *metric = keys.detach();
  const at::Tensor mixed = attention(qkv[0], keys, qkv[2], key_bias);
  const at::Tensor out = attn_.proj(mixed.transpose(1, 2).reshape({batch, tokens, dim}));
  return drop.noise->drop_path(drop.noise->dropout(out, drop.dropout, "attention", drop.block),
                               drop.path, "attention", drop.block);
}

at::Tensor Block::feed_forward(const at::Tensor& x, const Drop& drop) const {
  const Noise& noise = *drop.noise;
  const at::Tensor hidden =
      noise.dropout(at::gelu(mlp_.fc1(norm2_(x))), drop.dropout, "hidden", drop.block);
  const at::Tensor out = noise.dropout(mlp_.fc2(hidden), drop.dropout, "mlp", drop.block);
  return noise.drop_path(out, drop.path, "mlp", drop.block);
}

void Block::run(Tokens& tokens, const at::Tensor& key_bias, const Drop& drop,
                const Reduction& reduction, bool recompute) const {
  at::Tensor metric;
  const bool merges = reduction.r > 0;
  if (recompute) {
    // The closures outlive this call: `wanted` is written in the first run alone.
    tokens.x = tokens.x + recomputed(tokens.x, attn_.qkv.weight,
                                     [this, key_bias, drop, wanted = merges ? &metric : nullptr](
                                         const at::Tensor& x, bool again) {
                                       return attend(x, key_bias, drop, again ? nullptr : wanted);
                                     });
  } else {
    tokens.x = tokens.x + attend(tokens.x, key_bias, drop, merges ? &metric : nullptr);
  }
  if (merges) reduce_tokens(tokens, metric, reduction.r, *reduction.settings);
  if (recompute) {
    tokens.x = tokens.x + recomputed(tokens.x, mlp_.fc1.weight,
                                     [this, drop](const at::Tensor& x, bool /*again*/) {
                                       return feed_forward(x, drop);
                                     });
  } else {
    tokens.x = tokens.x + feed_forward(tokens.x, drop);
  }
}

void Block::Attention::members(Members& list) {
  list.child("qkv", qkv);
  list.child("proj", proj);
}

void Block::Mlp::members(Members& list) {
  list.child("fc1", fc1);
  list.child("fc2", fc2);
}

void Block::members(Members& list) {
  list.child("norm1", norm1_);
  list.child("attn", attn_);
  list.child("norm2", norm2_);
  list.child("mlp", mlp_);
}

}  // namespace xp::model
