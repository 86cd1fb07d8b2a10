// A step of the loop: gradients, whether they are good, and the update. On the CPU (and with
// several ranks) the result is read first. Elsewhere the device decides by itself
// (`update_unread`), and `settle` reads what it said while the next step is under way.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/dist/device.h"
#include "core/dist/group.h"
#include "core/graph/stage.h"
#include "core/train/evidence.h"
#include "core/train/loop.h"
#include "tracker/run_sink.h"

namespace xp::train {

/// One step; when memory runs out and the size of micro-batches is ours to choose, smaller ones.
std::optional<StepResult> Loop::do_step(const data::Batch& batch) {
  const Place place{step_, epoch_};
  task_.begin(batch, place);
  for (;;) {
    try {
      return attempt(place, micro_);
    } catch (const std::exception& error) {
      if (!dist::is_out_of_memory(error)) throw;
      const int64_t size = micro_ > 0 ? std::min(micro_, batch.size) : batch.size;
      const bool fixed = group_ != nullptr || options_.norm_group > 0;  // no group is split
      if (options_.micro_batch > 0 || size <= 1 || fixed)
        throw Error(fmt::format("out of memory in step {} with {} clips at a time: lower "
                                "train.micro_batch, or set train.activation_checkpointing = true",
                                step_, size),
                    Exit::kFailed);
      optimiser_.zero_grad();
      micro_ = (size + 1) / 2;
      context_.say(
          fmt::format("out of memory with {} clips at a time: {} from now on", size, micro_));
    }
  }
}

/// A step, and its result; nullopt where the device was given it and nobody waits.
std::optional<StepResult> Loop::attempt(const Place& place, int64_t micro) {
  StepResult result;
  result.place = place;
  result.clips = batches_.clips(step_in_epoch_);
  result.lr = schedule_.lr(step_);
  result.logged = log_due();
  StepValues values = gradients(result, micro);
  at::Tensor norm;
  if (scale_.on()) {
    values.gradient_fault = scale_.unscale(optimiser_.tensors());
    if (options_.train.clip_norm > 0) norm = optimiser_.gradient_norm();
  } else {
    norm = optimiser_.gradient_norm();
    values.gradient_fault = at::isfinite(norm).logical_not().to(at::kFloat).view({1});
  }
  if (result.logged) values.gradient_norms = optimiser_.gradient_norms();
  if (!waits()) {
    update_unread(std::move(result), std::move(values), norm);
    return std::nullopt;
  }
  settle();
  values.read(result);
  agree(result);
  result.skipped = !accepts(result);
  if (!result.skipped) {
    for (Hook* hook : hooks_) hook->before_update(*this, result);
    if (options_.train.clip_norm > 0) optimiser_.clip(options_.train.clip_norm, norm);
    optimiser_.step(result.lr);
  } else {
    result.gradient_norms.clear();
  }
  optimiser_.zero_grad();
  return result;
}

/// The gradients of a batch, `micro` clips at a time, and its loss.
StepValues Loop::gradients(const StepResult& result, int64_t micro) {
  StepValues values(task_.parts());
  const double world = group_ == nullptr ? 1 : group_->size();
  const std::vector<ClipRange> ranges = passes(result.clips, micro);
  for (size_t i = 0; i < ranges.size(); ++i) {
    const auto [first, count] = ranges[i];
    const bool last = i + 1 == ranges.size();
    if (reducer_ && last) reducer_->begin();
    Loss loss;
    if (count > 0 || options_.norm_group > 0) {
      loss = task_.loss(first, count);
    } else {
      // A rank without clips in the last batch of an epoch still takes part in the mean.
      for (const Trained& tensor : optimiser_.tensors())
        loss.total =
            loss.total.defined() ? loss.total + tensor.tensor.sum() * 0 : tensor.tensor.sum() * 0;
    }
    // Shares of the mean over all clips; the ranks' mean divides by their number.
    const double share = static_cast<double>(count) / static_cast<double>(result.clips);
    at::Tensor scaled = loss.total * (share * world);
    if (scale_.on()) scaled = scaled * scale_.scale();
    if (reducer_ && last)
      reducer_->backward(scaled);
    else
      torch::autograd::backward({scaled}, {});
    if (count > 0) values.add(loss, share);
  }
  return values;
}

/// Whether the result of the step that is being taken has to be known before it changes the
/// weights.
bool Loop::waits() const {
  if (device_.is_cpu() || group_ != nullptr) return true;
  const int64_t unread = unread_ ? 1 : 0;
  return std::any_of(hooks_.begin(), hooks_.end(),
                     [unread](const Hook* hook) { return hook->decides(unread); });
}

/// The update of a step whose result is read later: the device decides whether it is one.
void Loop::update_unread(StepResult result, StepValues values, const at::Tensor& norm) {
  const at::NoGradGuard no_grad;
  const at::Tensor loss_fault = values.loss_fault();
  at::Tensor skip = at::maximum(loss_fault, values.gradient_fault);
  if (options_.train.on_nan == schema::OnNan::kStop) {
    const at::Tensor fatal = scale_.on() ? loss_fault : skip;
    broken_ = broken_.defined() ? at::maximum(broken_, fatal) : fatal;
    skip = at::maximum(skip, broken_);
  }
  if (options_.train.clip_norm > 0) optimiser_.clip(options_.train.clip_norm, norm);
  optimiser_.step(result.lr, skip);
  optimiser_.zero_grad();
  values.send();
  Unread step{std::move(result), std::move(values), task_.evidence()};
  settle();  // the one before it
  unread_.emplace(std::move(step));
  agree(unread_->result);
}

/// Reads the result of the step that nobody waited for, if there is one; then all is as if somebody
/// had.
void Loop::settle() {
  if (!unread_) return;
  Unread step = std::move(*unread_);
  unread_.reset();
  step.values.read(step.result);
  evidence_ = &step.evidence;
  step.result.skipped = !accepts(step.result);
  if (step.result.skipped)
    step.result.gradient_norms.clear();
  else
    for (Hook* hook : hooks_) hook->before_update(*this, step.result);
  evidence_ = nullptr;
  finish(step.result);
}

/// Whether the step that is being taken is logged: by the interval, and the first and the last one
/// of a training whatever that is.
bool Loop::log_due() const {
  const bool last = epoch_ + 1 == epochs() && step_in_epoch_ + 1 == steps_per_epoch_;
  return step_ == 0 || last || (step_ + 1) % options_.train.log_every_steps == 0;
}

/// Whether the gradients may change the weights. Throws where they may not and train.on_nan says
/// so. An overflow of fp16 is no fault: the scale adapts to it.
bool Loop::accepts(const StepResult& result) {
  const bool finite = result.finite_gradient;
  const bool good = std::isfinite(result.loss);
  if (good && (finite || scale_.on())) return finite;
  if (options_.train.on_nan == schema::OnNan::kStop)
    fail(result, fmt::format("the {} of step {} (epoch {}) is {}; lr {:.3g}",
                             good ? "gradient" : "loss", result.place.step, result.place.epoch + 1,
                             good ? "not finite" : loss_text(result.loss), result.lr));
  context_.sink->event(tracker::Level::kWarning,
                       fmt::format("step {}: the {} is not finite; skipped", result.place.step,
                                   good ? "gradient" : "loss"));
  return false;
}

/// Sums of the ranks' shares, and whether one of them was asked to stop: one exchange a step.
void Loop::agree(StepResult& result) {
  const bool asked = context_.stop_requested() != StopReason::kNone;
  if (group_ == nullptr) {
    stop_ = asked;
    return;
  }
  std::vector<double> values{result.loss, asked ? 1.0 : 0.0};
  for (const auto& [name, value] : result.parts) values.push_back(value);
  at::Tensor sums = at::tensor(values, at::kDouble).to(device_);
  group_->sum(sums);
  const at::Tensor on_cpu = sums.cpu();
  group_->check();  // nothing that a broken exchange left goes into the weights
  const double* sum = on_cpu.data_ptr<double>();
  result.loss = sum[0];
  stop_ = sum[1] > 0;
  for (size_t i = 0; i < result.parts.size(); ++i) result.parts[i].second = sum[2 + i];
}

}  // namespace xp::train
