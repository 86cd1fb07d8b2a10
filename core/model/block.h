#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "core/model/layers.h"
#include "core/model/reduce/reducer.h"
#include "core/model/tokens.h"
#include "core/schema/model.h"

namespace xp::model {

struct BlockOptions {
  int64_t dim = 768;
  int64_t heads = 12;
  int64_t hidden = 3072;  ///< width of the MLP
  double norm_eps = 1e-6;
  bool norm_first = true;
  schema::MlpActivation activation = schema::MlpActivation::kGelu;
};

/// Transformer block: x += attention(norm1(x)); reducers; x += mlp(norm2(x)). Without norm_first
/// x = norm1(x + attention(x)); reducers; x = norm2(x + mlp(x)).
class Block : public Module {
 public:
  Block(const BlockOptions& options, const Init& init);

  /// Probabilities and the place of this block in the drawing order.
  struct Drop {
    double dropout = 0;
    double path = 0;
    int64_t block = 0;
    std::shared_ptr<const Noise> noise;
  };
  /// Rows x [R, D] of `runs` -> the attention branch [R, D] without the residual. `key_bias` [R] is
  /// added to the attention logits of each key; undefined = nothing. `attended`,
  /// if not null, gets queries and keys of each run: what reducers look at.
  at::Tensor attend(const at::Tensor& x, const std::vector<Run>& runs, const at::Tensor& key_bias,
                    const Drop& drop, Attended* attended) const;
  /// The MLP branch without the residual.
  at::Tensor feed_forward(const at::Tensor& x, const std::vector<Run>& runs,
                          const Drop& drop) const;

  /// Runs the block on `tokens` in place, with those of `reducers` that act in it. `recompute`: the
  /// inside of both branches is computed again in the backward pass instead of being kept (the
  /// block must live until then).
  void run(Tokens& tokens, const at::Tensor& key_bias, const Drop& drop, const Reducers& reducers,
           bool recompute) const;

 protected:
  void members(Members& list) override;

 private:
  /// Names: attn.qkv, attn.proj.
  class Attention : public Module {
   public:
    Linear qkv, proj;

   protected:
    void members(Members& list) override;
  };
  /// Names: mlp.fc1, mlp.fc2.
  class Mlp : public Module {
   public:
    Linear fc1, fc2;

   protected:
    void members(Members& list) override;
  };

  BlockOptions options_;
  Norm norm1_, norm2_;
  Attention attn_;
  Mlp mlp_;
};

}  // namespace xp::model
