#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::model {

/// Start values of parameters, each a pure function of (seed, full name, shape): adding a layer or
/// changing the order of construction moves no other value. Float32 on the CPU, `requires_grad` on.
///
/// `draw = false` makes zeros instead of random numbers, for a model whose weights are loaded next.
class Init {
 public:
  explicit Init(uint64_t seed, bool draw = true) : seed_(seed), draw_(draw) {}

  /// The scope of a child: its names get the prefix "name.".
  Init child(std::string_view name) const;

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
  std::string prefix_;
};

}  // namespace xp::model
