#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/model.h"

namespace xp::model {

/// What a layer is for, where the originals start layers of one type differently.
enum class Part {
  kPatches,      ///< patch embedding
  kQkv,          ///< queries, keys and values, one matrix [3 D, D]
  kAttention,    ///< what follows the attention
  kMlp,          ///< both layers of a block's MLP
  kHead,         ///< a transformer's classifier
  kPrediction,   ///< heads of masked pretraining
  kConvolution,  ///< of a CNN
  kDense         ///< fully connected, in a CNN
};

/// Start values of parameters, each a pure function of (rule, seed, full name, shape): adding a
/// layer or changing the order of construction moves no other value. Float32 on the CPU,
/// `requires_grad` on.
///
/// Weights by rule and part; biases are 0 unless said. N: normal with std 0.02. U: uniform in
/// +-1/sqrt(fan_in), which is PyTorch's default for Linear and Conv2d; UB: the bias too. X:
/// Xavier's uniform, +-sqrt(6 / (fan_in + fan_out)). M: normal with std 1 / sqrt(D), Xavier's for a
/// vector. K: convolutions normal with std sqrt(2 / fan_out), dense layers with 0.01. Tokens and
/// position embeddings are N in all of them, norms 1 and 0.
///
///   rule         patches  qkv  attention  mlp  head  prediction  mask  CNNs
///   normal       N        N    N          N    N     N           N     K
///   ast          UB       N    N          N    UB    UB          N     -
///   passt        UB       N    N          N    N     N           N     -
///   ssast        UB       N    N          N    UB    UB          M     -
///   torchonly    UB       X    U          UB   UB    UB          M     -
///   efficientat  -        -    -          -    -     -           -     K
///   xavier       X        X    X          X    X     X           M     X
///
/// Sources: YuanGongND/ast src/models/ast_models.py and timm's VisionTransformer; PaSST
/// models/passt.py; YuanGongND/ssast src/models/ast_models.py; TorchOnlyAST modules/vit.py over
/// torch.nn.MultiheadAttention; EfficientAT models/mn/model.py, models/dymn/model.py.
///
/// `draw = false` makes zeros instead of random numbers, for a model whose weights are loaded next.
class Init {
 public:
  explicit Init(uint64_t seed, bool draw = true, schema::InitRule rule = schema::InitRule::kNormal)
      : seed_(seed), draw_(draw), rule_(rule) {}

  /// The scope of a child: its names get the prefix "name.".
  Init child(std::string_view name) const;

  /// The tensor `name` of a layer: [out, in, ...], or of `kernel`s of that shape in any other one.
  at::Tensor weight(Part part, std::string_view name, const std::vector<int64_t>& shape,
                    const std::vector<int64_t>& kernel = {}) const;
  /// "bias" [out] beside a weight of [out, in, ...].
  at::Tensor bias(Part part, const std::vector<int64_t>& weight) const;
  /// "mask_embed" [1, 1, dim]: what masked patches are replaced by.
  at::Tensor mask_embed(int64_t dim) const;

  /// Normal with mean 0, cut at two absolute units as the originals' truncated normal (which for
  /// std 0.02 cuts nothing).
  at::Tensor normal(std::string_view name, const std::vector<int64_t>& shape, double std) const;
  /// Uniform in [-bound, bound).
  at::Tensor uniform(std::string_view name, const std::vector<int64_t>& shape, double bound) const;
  at::Tensor constant(const std::vector<int64_t>& shape, double value) const;

  /// Buffers of running statistics: no gradient.
  static at::Tensor buffer(const std::vector<int64_t>& shape, double value);

 private:
  uint64_t seed_;
  bool draw_;
  schema::InitRule rule_;
  std::string prefix_;
};

}  // namespace xp::model
