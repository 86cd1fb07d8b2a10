#include "core/train/supervised.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/dist/device.h"
#include "core/evaluate/loss.h"
#include "core/frontend/spec_mixup.h"

namespace xp::train {

void SupervisedTask::begin(const data::Batch& batch, const Place& place) {
  const at::NoGradGuard no_grad;
  const auto draws = take(batch, place);
  if (!draws) return;
  labels_ = batches::labels_of(batch, setup_.device);
  mask_ = batches::mask_of(batch, setup_.device);
  teacher_ = {};
  if (kd_) teacher_ = teacher_logits_->target(batch, setup_.device);
  if (!draws->mix) return;
  // The front end has mixed the spectrograms; what belongs to them is mixed alike. PaSST keeps the
  // first clip's mask.
  labels_ = frontend::mix_rows(labels_, *draws->mix);
  if (!kd_ || !kd_->mix_teacher) return;
  teacher_.probability = frontend::mix_rows(teacher_.probability, *draws->mix);
  teacher_.weight = frontend::mix_rows(teacher_.weight, *draws->mix);
}

at::Tensor SupervisedTask::logits(int64_t first, int64_t count) const {
  const dist::Autocast autocast(setup_.device, setup_.train.precision);
  return model_.forward(input(first, count), training_pass()).logits.to(at::kFloat);
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
  return loss_of(logits(first, count), first, count);
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
