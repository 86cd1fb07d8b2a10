#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::train {

/// What one part of training (weights, optimiser, averaging, a hook, the sampler's position) must
/// keep to go on after a stop: named tensors and named facts. A checkpoint is a list of named
/// States, so a new hook cannot be forgotten: the loop saves what every hook returns and hands it
/// back.
///
/// Tensors are references, not copies: whoever keeps a State past the next step clones it.
struct State {
  using Fact =
      std::variant<int64_t, double, std::string, std::vector<double>, std::vector<int64_t>>;

  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, Fact> facts;

  /// The fact or tensor of that name. Throw Error (kData), naming it, when the State lacks it or it
  /// has another type: the checkpoint is of another version.
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  const std::vector<double>& numbers(const std::string& name) const;
  const std::vector<int64_t>& integers(const std::string& name) const;
  const at::Tensor& tensor(const std::string& name) const;

  bool has(const std::string& name) const { return facts.count(name) > 0; }
};

/// Named States: "weights", "optimiser", "loop", one for each hook.
using States = std::map<std::string, State>;

/// Copies `from` into `into` in place, under no_grad. Throws Error (kData) naming `what` when the
/// shapes differ.
void copy_into(const at::Tensor& into, const at::Tensor& from, const std::string& what);

}  // namespace xp::train
