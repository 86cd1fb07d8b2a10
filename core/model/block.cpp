#include "core/model/block.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>

#include "core/model/attention.h"
#include "core/model/recompute.h"

namespace xp::model {

Block::Block(const BlockOptions& options, const Init& init)
    : options_(options),
      norm1_(options.dim, options.norm_eps, init.child("norm1")),
      norm2_(options.dim, options.norm_eps, init.child("norm2")) {
  const int64_t dim = options.dim, hidden = options.hidden;
  attn_.qkv = Linear(dim, 3 * dim, Part::kQkv, init.child("attn").child("qkv"));
  attn_.proj = Linear(dim, dim, Part::kAttention, init.child("attn").child("proj"));
  mlp_.fc1 = Linear(dim, hidden, Part::kMlp, init.child("mlp").child("fc1"));
  mlp_.fc2 = Linear(hidden, dim, Part::kMlp, init.child("mlp").child("fc2"));
}

at::Tensor Block::attend(const at::Tensor& x, const std::vector<Run>& runs,
                         const at::Tensor& key_bias, const Drop& drop, Attended* attended) const {
  const int64_t dim = x.size(1);
  const Tokens rows{x, runs};
  const at::Tensor qkv = attn_.qkv(options_.norm_first ? norm1_(x) : x);
  std::vector<at::Tensor> mixed;
  for (size_t run = 0; run < runs.size(); ++run) {
    const at::Tensor parts = rows.of_run(qkv, run)
                                 .unflatten(2, {3, options_.heads, dim / options_.heads})
                                 .permute({2, 0, 3, 1, 4});  // [3, clips, heads, N, D / heads]
    const at::Tensor bias = key_bias.defined() ? rows.of_run(key_bias, run) : at::Tensor();
    if (attended != nullptr) attended->add(parts[0], parts[1], bias);
    mixed.push_back(attention(parts[0], parts[1], parts[2], bias).transpose(1, 2).flatten(2));
  }
  const at::Tensor out = attn_.proj(as_rows(mixed));
  return drop.noise->drop_path(
      drop.noise->dropout(out, runs, drop.dropout, "attention", drop.block), runs, drop.path,
      "attention", drop.block);
}

at::Tensor Block::feed_forward(const at::Tensor& x, const std::vector<Run>& runs,
                               const Drop& drop) const {
  const Noise& noise = *drop.noise;
  const at::Tensor inner = mlp_.fc1(options_.norm_first ? norm2_(x) : x);
  const at::Tensor hidden = noise.dropout(
      options_.activation == schema::MlpActivation::kRelu ? at::relu(inner) : at::gelu(inner), runs,
      drop.dropout, "hidden", drop.block);
  const at::Tensor out = noise.dropout(mlp_.fc2(hidden), runs, drop.dropout, "mlp", drop.block);
  return noise.drop_path(out, runs, drop.path, "mlp", drop.block);
}

void Block::run(Tokens& tokens, const at::Tensor& key_bias, const Drop& drop,
                const Reducers& reducers, bool recompute) const {
  Attended seen;
  const bool reduces = std::any_of(reducers.begin(), reducers.end(), [&](const auto& reducer) {
    return reducer->acts_in(drop.block);
  });
  Attended* const attended = reduces ? &seen : nullptr;
  if (recompute) {
    // The closures outlive this call: `wanted` is written in the first run alone.
    tokens.x =
        tokens.x + recomputed(tokens.x, attn_.qkv.weight,
                              [this, runs = tokens.runs, key_bias, drop, wanted = attended](
                                  const at::Tensor& x, bool again) {
                                return attend(x, runs, key_bias, drop, again ? nullptr : wanted);
                              });
  } else {
    tokens.x = tokens.x + attend(tokens.x, tokens.runs, key_bias, drop, attended);
  }
  if (!options_.norm_first) tokens.x = norm1_(tokens.x);
  for (const auto& reducer : reducers)
    if (reducer->acts_in(drop.block)) reducer->reduce(tokens, seen, drop.block);
  if (recompute) {
    tokens.x = tokens.x +
               recomputed(tokens.x, mlp_.fc1.weight,
                          [this, runs = tokens.runs, drop](const at::Tensor& x, bool /*again*/) {
                            return feed_forward(x, runs, drop);
                          });
  } else {
    tokens.x = tokens.x + feed_forward(tokens.x, tokens.runs, drop);
  }
  if (!options_.norm_first) tokens.x = norm2_(tokens.x);
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
