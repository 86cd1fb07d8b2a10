#include "core/train/supervised.h"

#include <span>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/frontend/spec_mixup.h"
#include "core/recipe/options_io.h"
#include "core/train/device.h"
#include "core/train/loss.h"

namespace xp::train {

std::string join_ids(const Clips& clips, const std::vector<uint32_t>& rows,
                     const std::vector<int64_t>& which) {
  std::string ids;
  for (const int64_t row : which) {
    if (!ids.empty()) ids += ' ';
    ids += clips.shards->id(rows[static_cast<size_t>(row)]);
  }
  return ids;
}

void SupervisedTask::begin(const data::Batch& batch, const Place& place) {
  const at::NoGradGuard no_grad;
  const at::Device device = setup_.device;
  place_ = place;
  rows_ = batch.rows;
  positions_.clear();
  for (int64_t i = 0; i < batch.size; ++i) positions_.push_back(batch.position + i);
  if (batch.size == 0) return;
  const frontend::DrawKey key{setup_.seed, static_cast<uint64_t>(batch.epoch),
                              static_cast<uint64_t>(batch.step),
                              static_cast<uint64_t>(batch.position)};
  const frontend::Draws draws = setup_.frontend->draw(key, batch.size, batch.samples);
  mel_ = setup_.frontend->forward(waves_of(batch, device), batch.lengths, &draws);
  labels_ = labels_of(batch, device);
  mask_ = mask_of(batch, device);
  teacher_ = {};
  if (setup_.teacher != nullptr) teacher_ = setup_.teacher->target(batch, labels_, device);
  if (!draws.mix) return;
  // The front end has mixed the spectrograms; what belongs to them is mixed alike. PaSST keeps the
  // first clip's mask.
  labels_ = frontend::mix_rows(labels_, *draws.mix);
  if (setup_.teacher == nullptr || !setup_.kd->mix_teacher) return;
  teacher_.probability = frontend::mix_rows(teacher_.probability, *draws.mix);
  teacher_.weight = frontend::mix_rows(teacher_.weight, *draws.mix);
}

Loss SupervisedTask::loss(int64_t first, int64_t count) {
  model::ForwardContext context;
  context.training = true;
  context.seed = setup_.seed;
  context.epoch = static_cast<uint64_t>(place_.epoch);
  context.step = static_cast<uint64_t>(place_.step);
  context.positions = std::span<const int64_t>(positions_)
                          .subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  context.activation_checkpointing = setup_.train.activation_checkpointing;
  at::Tensor logits;
  {
    const Autocast autocast(setup_.device, setup_.train.precision);
    logits = setup_.model->forward(mel_.narrow(0, first, count), context).logits;
  }
  logits = logits.to(at::kFloat);
  const at::Tensor mask = mask_.defined() ? mask_.narrow(0, first, count) : at::Tensor();
  Loss loss;
  const at::Tensor hard = label_loss(setup_.train.loss, logits, labels_.narrow(0, first, count),
                                     mask, setup_.train.label_smoothing);
  loss.total = hard;
  if (setup_.teacher == nullptr) return loss;
  const SoftTarget teacher{teacher_.probability.narrow(0, first, count),
                           teacher_.weight.narrow(0, first, count)};
  const at::Tensor soft = soft_loss(setup_.kd->target, logits, teacher);
  loss.total = kd_loss(setup_.kd->lambda, hard, soft);
  loss.parts = {{"loss_hard", hard.detach()}, {"loss_kd", soft.detach()}};
  return loss;
}

State SupervisedTask::evidence() const {
  State state;
  state.tensors["mel"] = mel_;
  state.tensors["labels"] = labels_;
  if (mask_.defined()) state.tensors["mask"] = mask_;
  if (teacher_.probability.defined()) {
    state.tensors["teacher"] = teacher_.probability;
    state.tensors["teacher_weight"] = teacher_.weight;
  }
  state.tensors["positions"] = at::tensor(positions_, at::kLong);
  state.facts["clips"] = join_ids(setup_.clips, setup_.rows, rows_);
  state.facts["seed"] = static_cast<int64_t>(setup_.seed);
  return state;
}

}  // namespace xp::train
