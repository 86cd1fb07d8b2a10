#include "core/train/pretrain_task.h"

#include <span>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/dist/group.h"
#include "core/train/device.h"
#include "core/train/supervised.h"

namespace xp::train {
namespace {

/// Which passes a task makes: 0 tells patches apart, 1 reconstructs them.
std::vector<int64_t> passes(schema::PretrainTask task) {
  switch (task) {
    case schema::PretrainTask::kJoint:
      return {0, 1};
    case schema::PretrainTask::kDiscriminative:
      return {0};
    case schema::PretrainTask::kGenerative:
      return {1};
  }
  return {};
}

}  // namespace

void PretrainTask::begin(const data::Batch& batch, const Place& place) {
  const at::NoGradGuard no_grad;
  place_ = place;
  rows_ = batch.rows;
  positions_.clear();
  for (int64_t i = 0; i < batch.size; ++i) positions_.push_back(batch.position + i);
  if (batch.size == 0) return;
  const frontend::DrawKey key{setup_.seed, static_cast<uint64_t>(batch.epoch),
                              static_cast<uint64_t>(batch.step),
                              static_cast<uint64_t>(batch.position)};
  const frontend::Draws draws = setup_.frontend->draw(key, batch.size, batch.samples);
  mel_ = setup_.frontend->forward(waves_of(batch, setup_.device), batch.lengths, &draws);
}

model::MaskedLosses PretrainTask::pass(const at::Tensor& mel, const model::DrawKey& key,
                                       int64_t number, bool training) const {
  const auto& options = setup_.pretrain;
  const model::MaskSettings settings{options.masked, options.cluster_min, options.cluster_max};
  const at::Tensor masks =
      model::draw_masks(settings, setup_.model->grid_of(mel), key, number).to(mel.device());
  model::ForwardContext context;
  context.training = training;
  context.seed = key.seed;
  context.epoch = key.epoch;
  context.step = key.step;
  context.positions = key.positions;
  context.activation_checkpointing = setup_.train.activation_checkpointing;
  const Autocast autocast(setup_.device, setup_.train.precision);
  return setup_.model->losses(mel, masks, number == 0, number == 1, context);
}

Loss PretrainTask::loss(int64_t first, int64_t count) {
  model::DrawKey key;
  key.seed = setup_.seed;
  key.epoch = static_cast<uint64_t>(place_.epoch);
  key.step = static_cast<uint64_t>(place_.step);
  key.positions = std::span<const int64_t>(positions_)
                      .subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  const at::Tensor mel = mel_.narrow(0, first, count);
  const bool joint = setup_.pretrain.task == schema::PretrainTask::kJoint;
  Loss loss;
  for (const int64_t number : passes(setup_.pretrain.task)) {
    const model::MaskedLosses losses = pass(mel, key, number, true);
    const at::Tensor value = (number == 0 ? losses.nce : losses.mse).to(at::kFloat);
    const at::Tensor weighted =
        number == 1 && joint ? value * setup_.pretrain.generative_factor : value;
    loss.total = loss.total.defined() ? loss.total + weighted : weighted;
    loss.parts.emplace_back(number == 0 ? "loss_nce" : "loss_mse", value.detach());
    if (number == 0) loss.parts.emplace_back("acc", losses.accuracy.detach());
  }
  return loss;
}

State PretrainTask::evidence() const {
  State state;
  state.tensors["mel"] = mel_;
  state.tensors["positions"] = at::tensor(positions_, at::kLong);
  state.facts["clips"] = join_ids(setup_.clips, setup_.rows, rows_);
  state.facts["seed"] = static_cast<int64_t>(setup_.seed);
  return state;
}

std::map<std::string, double> PretrainTask::validate(const std::vector<uint32_t>& rows,
                                                     const schema::FrontendOptions& frontend,
                                                     const PredictOptions& how) const {
  const at::NoGradGuard no_grad;
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t rank = how.group == nullptr ? 0 : how.group->rank();
  const int64_t world = how.group == nullptr ? 1 : how.group->size();
  const int64_t begin = total * rank / world;
  const std::vector<uint32_t> mine(rows.begin() + begin, rows.begin() + total * (rank + 1) / world);
  EvaluationBatches batches(setup_.clips, mine, frontend, how.batch_size, how.workers,
                            setup_.device);
  // Sums over clips of NCE, masked accuracy, MSE, and their number.
  at::Tensor sums = at::zeros({4}, at::kDouble);
  while (const auto batch = batches.next()) {
    how.check();
    const at::Tensor mel =
        setup_.frontend->forward(waves_of(*batch, setup_.device), batch->lengths);
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < batch->size; ++i) positions.push_back(begin + batch->position + i);
    model::DrawKey key;
    key.positions = positions;
    const auto clips = static_cast<double>(batch->size);
    for (const int64_t number : passes(setup_.pretrain.task)) {
      const model::MaskedLosses losses = pass(mel, key, number, false);
      if (number == 0) {
        sums[0] += losses.nce.cpu() * clips;
        sums[1] += losses.accuracy.cpu() * clips;
      } else {
        sums[2] += losses.mse.cpu() * clips;
      }
    }
    sums[3] += clips;
  }
  sums = sums.to(setup_.device);
  if (how.group != nullptr) how.group->sum(sums);
  sums = sums.cpu();
  const auto mean = [&](int64_t i) { return (sums[i] / sums[3]).item<double>(); };
  std::map<std::string, double> values;
  const bool joint = setup_.pretrain.task == schema::PretrainTask::kJoint;
  for (const int64_t number : passes(setup_.pretrain.task)) {
    if (number == 0) {
      values["loss"] += mean(0);
      values["acc"] = mean(1);
    } else {
      values["loss"] += mean(2) * (joint ? setup_.pretrain.generative_factor : 1.0);
      values["loss_mse"] = mean(2);
    }
  }
  return values;
}

}  // namespace xp::train
