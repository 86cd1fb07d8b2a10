#include "core/model/module.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace xp::model {

void Members::parameter(std::string_view name, at::Tensor& tensor) {
  if (tensor.defined()) visit_(prefix_ + std::string(name), tensor, Role::kParameter);
}

void Members::buffer(std::string_view name, at::Tensor& tensor) {
  if (tensor.defined()) visit_(prefix_ + std::string(name), tensor, Role::kBuffer);
}

void Members::child(std::string_view name, Module& module) {
  Members list(visit_, prefix_ + std::string(name) + '.');
  module.members(list);
}

void Module::each(const Members::Visit& visit, const std::string& prefix) {
  Members list(visit, prefix);
  members(list);
}

std::vector<NamedTensor> Module::state() const {
  std::vector<NamedTensor> list;
  // Listing changes nothing: `each` is not const only because a visitor may replace tensors.
  const_cast<Module*>(this)->each([&](const std::string& name, at::Tensor& tensor, Role role) {
    list.push_back({name, tensor, role});
  });
  return list;
}

std::vector<NamedTensor> Module::parameters() const {
  std::vector<NamedTensor> list;
  for (NamedTensor& entry : state()) {
    if (entry.role == Role::kParameter) list.push_back(std::move(entry));
  }
  return list;
}

std::vector<NamedTensor> Module::buffers() const {
  std::vector<NamedTensor> list;
  for (NamedTensor& entry : state()) {
    if (entry.role == Role::kBuffer) list.push_back(std::move(entry));
  }
  return list;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const NamedTensor& entry : parameters()) count += entry.tensor.numel();
  return count;
}

void Module::replace(const std::function<at::Tensor(const at::Tensor&)>& make) {
  const at::NoGradGuard no_grad;
  each([&](const std::string& /*name*/, at::Tensor& tensor, Role role) {
    const bool grad = role == Role::kParameter && tensor.requires_grad();
    tensor = make(tensor).detach();
    tensor.set_requires_grad(grad);
  });
}

void Module::to(at::Device device) {
  replace([&](const at::Tensor& tensor) { return tensor.to(device); });
}

void Module::to(at::ScalarType dtype) {
  replace([&](const at::Tensor& tensor) {
    return tensor.is_floating_point() ? tensor.to(dtype) : tensor;
  });
}

void Module::require_grad(bool on) {
  for (const NamedTensor& entry : parameters()) entry.tensor.set_requires_grad(on);
}

}  // namespace xp::model
