#include "core/train/averaging.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"

namespace xp::train {

using schema::AveragingKind;

Averaging::Averaging(const schema::AveragingOptions& options, Named parameters, int64_t epochs)
    : options_(options), parameters_(std::move(parameters)), epochs_(epochs) {
  if (options_.kind != AveragingKind::kEma) return;
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : parameters_) average_.push_back(tensor.detach().clone());
}

/// average += weight * (parameters - average); the first snapshot is a copy.
void Averaging::take(double weight) {
  const at::NoGradGuard no_grad;
  ++count_;
  std::vector<at::Tensor> now;
  for (const auto& [name, tensor] : parameters_) now.push_back(tensor.detach());
  if (average_.empty()) {
    for (const at::Tensor& tensor : now) average_.push_back(tensor.clone());
    return;
  }
  at::_foreach_lerp_(average_, now, weight);
}

void Averaging::before_epoch(int64_t completed) {
  if (options_.kind != AveragingKind::kSwa) return;
  const int64_t since = completed - (options_.first_epoch - 1);
  if (since < 0 || since % std::max<int64_t>(1, options_.every_epochs) != 0) return;
  take(1.0 / static_cast<double>(count_ + 1));
}

void Averaging::after_step() {
  if (options_.kind != AveragingKind::kEma) return;
  const auto t = static_cast<double>(count_ + 1);
  take(1 - (options_.ramp ? std::min(options_.decay, (1 + t) / (10 + t)) : options_.decay));
}

void Averaging::after_epoch(int64_t completed) {
  if (options_.kind != AveragingKind::kEpochs) return;
  const int64_t last = options_.last_epoch > 0 ? options_.last_epoch : epochs_;
  if (completed < options_.first_epoch || completed > last) return;
  take(1.0 / static_cast<double>(count_ + 1));
}

void Averaging::exchange() {
  XP_CHECK(count_ > 0, "averaging took no snapshot yet");
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < average_.size(); ++i) {
    const at::Tensor keep = parameters_[i].second.detach().clone();
    parameters_[i].second.copy_(average_[i]);
    average_[i].copy_(keep);
  }
}

State Averaging::state() const {
  State state;
  state.facts["count"] = count_;
  for (size_t i = 0; i < average_.size(); ++i) state.tensors[parameters_[i].first] = average_[i];
  return state;
}

void Averaging::load(const State& state) {
  count_ = state.integer("count");
  const at::NoGradGuard no_grad;
  average_.clear();
  if (state.tensors.empty()) return;
  for (const auto& [name, tensor] : parameters_) {
    average_.push_back(at::empty_like(tensor.detach()));
    copy_into(average_.back(), state.tensor(name), name);
  }
}

}  // namespace xp::train
