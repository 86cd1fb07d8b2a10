#include "core/train/pretrain_task.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/dist/device.h"
#include "core/dist/group.h"

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
  take(batch, place);
}

model::MaskedLosses PretrainTask::losses(const model::Input& input, const model::Pass& pass,
                                         int64_t number) const {
  const model::MaskSettings settings{options_.masked, options_.cluster_min, options_.cluster_max};
  const at::Tensor masks = model::draw_masks(settings, model_.grids_of(input), input.draws, number);
  const dist::Autocast autocast(setup_.device, setup_.train.precision);
  return model_.losses(input, masks, number == 0, number == 1, pass);
}

std::vector<std::string> PretrainTask::parts() const {
  std::vector<std::string> names;
  for (const int64_t number : passes(options_.task)) {
    names.emplace_back(number == 0 ? "loss_nce" : "loss_mse");
    if (number == 0) names.emplace_back("acc");
  }
  return names;
}

Loss PretrainTask::loss(int64_t first, int64_t count) {
  const model::Input clips = input(first, count);
  const bool joint = options_.task == schema::PretrainTask::kJoint;
  Loss loss;
  for (const int64_t number : passes(options_.task)) {
    const model::MaskedLosses each = losses(clips, training_pass(first, count).pass, number);
    const at::Tensor value = (number == 0 ? each.nce : each.mse).mean().to(at::kFloat);
    const at::Tensor weighted = number == 1 && joint ? value * options_.generative_factor : value;
    loss.total = loss.total.defined() ? loss.total + weighted : weighted;
    loss.parts.emplace_back(number == 0 ? "loss_nce" : "loss_mse", value.detach());
    if (number == 0) loss.parts.emplace_back("acc", each.accuracy.mean().detach());
  }
  return loss;
}

std::map<std::string, double> PretrainTask::validate(const std::vector<uint32_t>& rows,
                                                     const schema::FrontendOptions& frontend,
                                                     const evaluate::PredictOptions& how) const {
  const at::NoGradGuard no_grad;
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t rank = how.group == nullptr ? 0 : how.group->rank();
  const int64_t world = how.group == nullptr ? 1 : how.group->size();
  const int64_t begin = total * rank / world;
  const std::vector<uint32_t> mine(rows.begin() + begin, rows.begin() + total * (rank + 1) / world);
  batches::check_lengths(setup_.clips, rows, frontend, model_.least_frames());
  batches::EvaluationBatches batches(setup_.clips, mine, frontend,
                                     {how.batch_size, how.workers, setup_.device});
  // Sums over clips of NCE, masked accuracy, MSE, and their number.
  at::Tensor sums = at::zeros({4}, at::TensorOptions().dtype(at::kDouble).device(setup_.device));
  while (const auto batch = batches.next()) {
    how.check();
    model::DrawKey draws;
    for (const int64_t row : batch->rows) draws.positions.push_back(begin + row);
    const model::Input clips(setup_.frontend->forward(batches::waves_of(*batch, setup_.device)),
                             draws);
    const auto sum = [](const at::Tensor& of_clips) { return of_clips.to(at::kDouble).sum(); };
    for (const int64_t number : passes(options_.task)) {
      const model::MaskedLosses each = losses(clips, {}, number);
      if (number == 0) {
        sums[0] += sum(each.nce);
        sums[1] += sum(each.accuracy);
      } else {
        sums[2] += sum(each.mse);
      }
    }
    sums[3] += batch->size;
  }
  if (how.group != nullptr) how.group->sum(sums);
  sums = sums.cpu();
  if (how.group != nullptr) how.group->check();
  const auto mean = [&](int64_t i) { return (sums[i] / sums[3]).item<double>(); };
  std::map<std::string, double> values;
  const bool joint = options_.task == schema::PretrainTask::kJoint;
  for (const int64_t number : passes(options_.task)) {
    if (number == 0) {
      values["loss"] += mean(0);
      values["acc"] = mean(1);
    } else {
      values["loss"] += mean(2) * (joint ? options_.generative_factor : 1.0);
      values["loss_mse"] = mean(2);
    }
  }
  return values;
}

}  // namespace xp::train
