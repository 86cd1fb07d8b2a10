#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/tokens.h"

namespace xp::schema {
struct Reductions;
}

namespace xp::model {

/// What the attention of one block shows the reducers after it: queries and keys of the tokens that
/// are there, run by run (Tokens::runs).
class Attended {
 public:
  /// The next run: queries and keys [clips, heads, N, d], `bias` of its keys [clips, N] or
  /// undefined. No gradient flows.
  void add(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& bias);
  bool empty() const { return runs_.empty(); }

  /// [clips, heads, N, d]
  const at::Tensor& keys(size_t run) const { return runs_[run].keys; }
  /// What token `query` of each clip attends to, mean over the heads: [clips, N] float32, rows sum
  /// to 1. Computed when it is asked for.
  at::Tensor attention_of(size_t run, int64_t query) const;

  /// A reducer has put the tokens of `run` in place of others: token j is now what token
  /// index[b, j] was. [clips, N'] int64. For the reducers behind it in the block.
  void take(size_t run, const at::Tensor& index);

 private:
  struct Shown {
    at::Tensor queries, keys, bias;
  };
  std::vector<Shown> runs_;
};

/// One way to make tokens fewer, between attention and MLP of a block. What it does to a clip
/// depends on that clip alone; its plan is core/schema's (`after` of its options).
class Reducer {
 public:
  virtual ~Reducer() = default;
  /// Whether it does anything in block `block` (0 ..).
  virtual bool acts_in(int64_t block) const = 0;
  /// Whether attention is weighted by the log of a token's size, in every block.
  virtual bool proportional() const = 0;
  /// Reduces `tokens`: x, runs, size, and source where it is traced. Differentiable in x.
  virtual void reduce(Tokens& tokens, Attended& attended, int64_t block) const = 0;
};

/// The reducers of a model, in the order in which they act within a block. Empty: none.
using Reducers = std::vector<std::shared_ptr<const Reducer>>;

/// Of the sections of a recipe, for a model of `depth` blocks: those that do anything
/// (core/schema/reducers.inc).
Reducers make_reducers(const schema::Reductions& reductions, int64_t depth);

}  // namespace xp::model
