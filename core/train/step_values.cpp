#include "core/train/step_values.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/train/loop.h"

namespace xp::train {
namespace {

at::Tensor share_of(const at::Tensor& value, double share) {
  return value.detach().to(at::kDouble) * share;
}

}  // namespace

void StepValues::add(const Loss& loss, double share) {
  const at::NoGradGuard no_grad;
  XP_CHECK(loss.parts.size() == parts_.size(), "a loss has the parts that its task names");
  std::vector<at::Tensor> shares{share_of(loss.total, share)};
  for (size_t i = 0; i < parts_.size(); ++i) {
    XP_CHECK(loss.parts[i].first == parts_[i], "parts of a loss in their order");
    shares.push_back(share_of(loss.parts[i].second, share));
  }
  if (sums_.empty()) {
    sums_ = std::move(shares);
    return;
  }
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] = sums_[i] + shares[i];
}

at::Tensor StepValues::loss_fault() const {
  return at::isfinite(sums_.at(0)).logical_not().to(at::kFloat).view({1});
}

at::Tensor StepValues::packed() const {
  std::vector<at::Tensor> values;
  for (const at::Tensor& sum : sums_) values.push_back(sum.view({1}));
  values.push_back(gradient_fault.to(at::kDouble));
  if (gradient_norms.defined()) values.push_back(gradient_norms.to(at::kDouble));
  return at::cat(values);
}

void StepValues::send() {
  const at::NoGradGuard no_grad;
  const at::Tensor values = packed();
  const at::Device device = values.device();
  sent_ = at::empty(values.sizes(), at::TensorOptions().dtype(at::kDouble).pinned_memory(true));
  sent_.copy_(values, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

void StepValues::read(StepResult& result) {
  const at::NoGradGuard no_grad;
  if (arrived_) arrived_->synchronize();
  const at::Tensor values = arrived_ ? sent_ : packed().cpu();
  const double* at = values.const_data_ptr<double>();
  // A rank without clips has no loss of its own.
  result.loss = sums_.empty() ? 0 : *at++;
  for (size_t i = 0; i < parts_.size(); ++i)
    result.parts.emplace_back(parts_[i], sums_.empty() ? 0 : *at++);
  result.finite_gradient = *at++ == 0;
  result.gradient_norms.assign(at, values.const_data_ptr<double>() + values.numel());
}

}  // namespace xp::train
