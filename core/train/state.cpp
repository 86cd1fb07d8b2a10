#include "core/train/state.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"

namespace xp::train {
namespace {

template <class T>
const T& fact(const State& state, const std::string& name, const char* type) {
  const auto found = state.facts.find(name);
  if (found == state.facts.end())
    throw Error(fmt::format("the checkpoint lacks '{}': it was written by another version", name),
                Exit::kData);
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr)
    throw Error(fmt::format("'{}' in the checkpoint is not {}", name, type), Exit::kData);
  return *value;
}

}  // namespace

int64_t State::integer(const std::string& name) const {
  return fact<int64_t>(*this, name, "an integer");
}

double State::number(const std::string& name) const {
  const auto found = facts.find(name);
  if (found != facts.end())
    if (const auto* whole = std::get_if<int64_t>(&found->second))
      return static_cast<double>(*whole);
  return fact<double>(*this, name, "a number");
}

const std::string& State::text(const std::string& name) const {
  return fact<std::string>(*this, name, "a text");
}

const std::vector<double>& State::numbers(const std::string& name) const {
  return fact<std::vector<double>>(*this, name, "a list of numbers");
}

const std::vector<int64_t>& State::integers(const std::string& name) const {
  return fact<std::vector<int64_t>>(*this, name, "a list of integers");
}

const at::Tensor& State::tensor(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    throw Error(fmt::format("the checkpoint lacks the tensor '{}'", name), Exit::kData);
  return found->second;
}

void copy_into(const at::Tensor& into, const at::Tensor& from, const std::string& what) {
  if (into.sizes() != from.sizes())
    throw Error(fmt::format("'{}' has {} values in the checkpoint and {} here", what, from.numel(),
                            into.numel()),
                Exit::kData);
  const at::NoGradGuard no_grad;
  into.copy_(from);
}

}  // namespace xp::train
