#include "core/train/supervised.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/dist/device.h"
#include "core/evaluate/loss.h"

namespace xp::train {

void SupervisedTask::begin(const data::Batch& batch, const Place& place) {
  const at::NoGradGuard no_grad;
  take(batch, place);
  if (batch.size == 0 && !mixes()) return;
  labels_ = batches::labels_of(batch, setup_.device);
  mask_ = batches::mask_of(batch, setup_.device);
  teacher_ = {};
  if (kd_ && batch.size > 0)
    teacher_ = teacher_logits_->target(batch, setup_.device);
  else if (kd_)
    teacher_ = {at::zeros_like(labels_), at::zeros({0}, labels_.options())};
  if (!mixes()) return;
  // The spectrograms are mixed; what belongs to them is mixed alike. PaSST keeps the first clip's
  // mask.
  labels_ = mixed(labels_);
  if (!kd_ || !kd_->mix_teacher) return;
  teacher_.probability = mixed(teacher_.probability);
  teacher_.weight = mixed(teacher_.weight);
}

at::Tensor SupervisedTask::logits(int64_t first, int64_t count) {
  const dist::Autocast autocast(setup_.device, setup_.train.precision);
  const TrainingPass training = training_pass(first, count);
  return model_.forward(input(first, count), training.pass).logits.to(at::kFloat);
}

std::vector<std::string> SupervisedTask::parts() const {
  if (!kd_) return {};
  return {"loss_hard", "loss_kd"};
}

Loss SupervisedTask::loss_of(const at::Tensor& logits, int64_t first, int64_t count) const {
  const at::Tensor mask = mask_.defined() ? mask_.narrow(0, first, count) : at::Tensor();
  Loss loss;
  const at::Tensor hard =
      evaluate::label_loss(setup_.train.loss, logits, labels_.narrow(0, first, count), mask,
                           setup_.train.label_smoothing);
  loss.total = hard;
  if (!kd_) return loss;
  const evaluate::SoftTarget teacher{teacher_.probability.narrow(0, first, count),
                                     teacher_.weight.narrow(0, first, count)};
  const at::Tensor soft = evaluate::soft_loss(*kd_, logits, teacher);
  loss.total = evaluate::kd_loss(kd_->lambda, hard, soft);
  loss.parts = {{"loss_hard", hard.detach()}, {"loss_kd", soft.detach()}};
  return loss;
}

Loss SupervisedTask::loss(int64_t first, int64_t count) {
  const at::Tensor values = logits(first, count);
  if (count > 0) return loss_of(values, first, count);
  Loss none;
  none.total = values.sum() * 0;
  return none;
}

State SupervisedTask::evidence() const {
  State state = ClipTask::evidence();
  state.tensors["labels"] = labels_;
  if (mask_.defined()) state.tensors["mask"] = mask_;
  if (teacher_.probability.defined()) {
    state.tensors["teacher"] = teacher_.probability;
    state.tensors["teacher_weight"] = teacher_.weight;
  }
  return state;
}

void SupervisedTask::restore(const State& evidence, const Place& place) {
  ClipTask::restore(evidence, place);
  labels_ = evidence.tensor("labels");
  mask_ = evidence.tensors.count("mask") > 0 ? evidence.tensor("mask") : at::Tensor();
  teacher_ = {};
  if (kd_) teacher_ = {evidence.tensor("teacher"), evidence.tensor("teacher_weight")};
}

}  // namespace xp::train
