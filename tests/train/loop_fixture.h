#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "core/base/rng.h"
#include "core/graph/stage.h"
#include "core/train/loop.h"
#include "tests/testing/temp_dir.h"
#include "tracker/run_sink.h"

namespace xp::train::fixture {

/// A linear model and a target that a few steps get near to; batches are functions of (epoch,
/// step).
struct LinearProblem {
  at::Tensor weight = at::full({3, 4}, 0.1).requires_grad_();
  at::Tensor bias = at::zeros({3}).requires_grad_();

  std::vector<std::pair<std::string, at::Tensor>> state() const {
    return {{"weight", weight.detach()}, {"bias", bias.detach()}};
  }
  std::vector<Trained> trained() const {
    return {{"weight", weight, 0, false}, {"bias", bias, 1, true}};
  }
};

class LinearTask final : public Task {
 public:
  explicit LinearTask(const LinearProblem& problem) : problem_(problem) {}
  void begin(const data::Batch& batch, const Place& place) override {
    place_ = place;
    x_ = at::from_blob(batch.waves, {batch.size, batch.samples}, at::kFloat)
             .clone()
             .to(problem_.weight.device());
    rows_ = batch.rows;
  }
  std::vector<std::string> parts() const override { return {"loss_hard"}; }
  Loss loss(int64_t first, int64_t count) override {
    const at::Tensor x = x_.narrow(0, first, count);
    const at::Tensor target = at::stack({x.sum(1), x.select(1, 0), x.select(1, 1) * 2}, 1);
    at::Tensor total = (at::linear(x, problem_.weight, problem_.bias) - target).square().mean();
    if (place_.step == broken_step) total = total * std::numeric_limits<double>::quiet_NaN();
    // The slope of a square root at 0 has no bound: a finite loss of an infinite gradient.
    if (place_.step == steep_step) total = total + (problem_.weight.square().sum() * 0).sqrt();
    Loss loss;
    loss.parts = {{"loss_hard", total.detach() / 2}};
    loss.total = total;
    return loss;
  }
  State evidence() const override {
    State state;
    state.tensors["x"] = x_;
    std::string ids;
    for (const int64_t row : rows_) ids += (ids.empty() ? "clip" : " clip") + std::to_string(row);
    state.facts["clips"] = ids;
    return state;
  }
  int64_t broken_step = -1;
  int64_t steep_step = -1;

 private:
  const LinearProblem& problem_;
  Place place_;
  at::Tensor x_;
  std::vector<int64_t> rows_;
};

/// `clips` clips an epoch in batches of `batch`, shared by `world` ranks.
class MadeBatches final : public batches::Batches {
 public:
  MadeBatches(int64_t clips, int64_t batch, int rank = 0, int world = 1)
      : clips_(clips), batch_(batch), rank_(rank), world_(world) {}
  void start(int64_t epoch, int64_t first_step) override {
    epoch_ = epoch;
    next_ = first_step;
  }
  std::optional<data::Batch> next() override {
    if (next_ >= steps_per_epoch()) return std::nullopt;
    const int64_t all = clips(next_);
    const int64_t begin = next_ * batch_ + all * rank_ / world_;
    const int64_t end = next_ * batch_ + all * (rank_ + 1) / world_;
    auto storage = std::make_shared<std::vector<float>>();
    data::Batch batch;
    for (int64_t position = begin; position < end; ++position) {
      Rng rng(5, "made", static_cast<uint64_t>(epoch_), static_cast<uint64_t>(position));
      for (int i = 0; i < 4; ++i) storage->push_back(static_cast<float>(rng.normal()));
      batch.rows.push_back(position);
    }
    batch.size = end - begin;
    batch.samples = 4;
    batch.waves = storage->data();
    batch.epoch = epoch_;
    batch.step = next_++;
    batch.position = begin;
    batch.storage = storage;
    return batch;
  }
  int64_t steps_per_epoch() const override { return (clips_ + batch_ - 1) / batch_; }
  int64_t clips(int64_t step) const override { return std::min(batch_, clips_ - step * batch_); }
  data::LoaderStats take_stats() override { return {}; }

 private:
  int64_t clips_;
  int64_t batch_;
  int rank_;
  int world_;
  int64_t epoch_ = 0;
  int64_t next_ = 0;
};

inline LoopOptions linear_options() {
  LoopOptions options;
  options.train.epochs = 3;
  options.train.batch_size = 8;
  options.train.log_every_steps = 2;
  options.train.save_every_min = 0;
  options.optimiser.kind = schema::OptimiserKind::kAdamw;
  options.optimiser.lr = 0.05;
  options.optimiser.head_lr_factor = 2;
  options.schedule.kind = schema::ScheduleKind::kStep;
  options.schedule.first_epoch = 1;
  return options;
}

inline graph::StageContext stage_context(const std::filesystem::path& output,
                                         tracker::RunSink& sink) {
  std::filesystem::create_directories(output);
  graph::StageContext context;
  context.name = "train";
  context.output = output;
  context.sink = &sink;
  return context;
}

}  // namespace xp::train::fixture
