#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::model {

/// Parameters are trained, averaged and saved; buffers (running statistics) are only saved.
enum class Role { kParameter, kBuffer };

/// A tensor of a module under its full name, "blocks.3.attn.qkv.weight". `tensor` aliases the
/// module's own: writing its values in place changes the module.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  Role role = Role::kParameter;
};

class Module;

/// What a module tells about its members, in the order of declaration.
class Members {
 public:
  using Visit = std::function<void(const std::string& name, at::Tensor& tensor, Role role)>;
  Members(const Visit& visit, std::string prefix) : visit_(visit), prefix_(std::move(prefix)) {}

  /// An undefined tensor (a bias that a layer does without) is passed over.
  void parameter(std::string_view name, at::Tensor& tensor);
  void buffer(std::string_view name, at::Tensor& tensor);
  void child(std::string_view name, Module& module);
  /// "name.0", "name.1", ...
  template <class Child>
  void children(std::string_view name, std::vector<Child>& modules) {
    for (size_t i = 0; i < modules.size(); ++i)
      child(std::string(name) + '.' + std::to_string(i), modules[i]);
  }

 private:
  const Visit& visit_;
  std::string prefix_;
};

/// A named tree of tensors: a value that lists its members and nothing else; there is no
/// registration, no hook, no mode. Training or not is said to `forward`.
class Module {
 public:
  virtual ~Module() = default;

  /// Every tensor below this node, depth first in order of declaration; `visit` may replace it.
  void each(const Members::Visit& visit, const std::string& prefix = "");

  std::vector<NamedTensor> parameters() const;
  std::vector<NamedTensor> buffers() const;
  /// Parameters and buffers in the order of `each`: what a checkpoint holds.
  std::vector<NamedTensor> state() const;
  /// Sum of the elements of the parameters.
  int64_t parameter_count() const;

  /// Moves every tensor; gradients are dropped, `requires_grad` is kept.
  void to(at::Device device);
  /// Converts the floating point tensors; integer buffers stay.
  void to(at::ScalarType dtype);
  /// For all parameters below.
  void require_grad(bool on);

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;

  friend class Members;
  virtual void members(Members& list) = 0;

 private:
  void replace(const std::function<at::Tensor(const at::Tensor&)>& make);
};

}  // namespace xp::model
