#include "core/train/hooks.h"

#include <cmath>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dist/device.h"
#include "core/dist/group.h"
#include "core/evaluate/evaluation.h"
#include "core/graph/stage.h"
#include "core/metric/metrics.h"

namespace xp::train {
namespace {

using tracker::Grain;

}  // namespace

void LogHook::log(const std::string& metric, Grain grain, int64_t step, double value) {
  sink_.log(sink_.metric(metric, metric::unit_of(metric), grain), step, value);
}

void LogHook::before_epoch(Loop& loop) {
  epoch_began_ns_ = steady_ns();
  epoch_clips_ = 0;
  loop.batches().take_stats();
  dist::reset_peak(loop.device());
}

void LogHook::after_step(Loop& loop, const StepResult& result) {
  if (epoch_began_ns_ == 0) epoch_began_ns_ = steady_ns();
  epoch_clips_ += result.clips;
  if (!result.skipped) {
    sums_["loss"] += result.loss;
    for (const auto& [part, value] : result.parts) sums_[part] += value;
    ++steps_;
  }
  if (!result.logged) return;
  const int64_t step = loop.step();
  if (loop.first_rank()) {
    for (const auto& [part, sum] : sums_)
      if (steps_ > 0) log("train." + part, Grain::kStep, step, sum / static_cast<double>(steps_));
    log("lr", Grain::kStep, step, result.lr);
    const auto& groups = loop.optimiser().groups();
    for (size_t i = 0; i < result.gradient_norms.size(); ++i)
      log("train.grad_norm" + (groups.size() > 1 ? "/" + groups[i].name : ""), Grain::kStep, step,
          result.gradient_norms[i]);
  }
  sums_.clear();
  steps_ = 0;
}

void LogHook::after_epoch(Loop& loop) {
  const data::LoaderStats stats = loop.batches().take_stats();
  const double seconds = static_cast<double>(steady_ns() - epoch_began_ns_) * 1e-9;
  if (!loop.first_rank() || seconds <= 0) return;
  const auto epoch = [&](const char* metric, double value) {
    log(metric, Grain::kEpoch, loop.epoch(), value);
  };
  epoch("train.clips_per_s", static_cast<double>(epoch_clips_) / seconds);
  epoch("train.stall_p", stats.stall_s / seconds);
  epoch("train.peak_mem_mb", dist::peak_memory_mb(loop.device()));
}

State LogHook::state() const {
  State state;
  state.facts["steps"] = steps_;
  for (const auto& [part, sum] : sums_) state.facts["sum." + part] = sum;
  return state;
}

void LogHook::load(const State& state) {
  steps_ = state.integer("steps");
  sums_.clear();
  for (const auto& [name, fact] : state.facts)
    if (name.starts_with("sum.")) sums_[name.substr(4)] = state.number(name);
}

void ValidateHook::after_epoch(Loop& loop) {
  const auto& train = loop.train();
  const int64_t epoch = loop.epoch();
  const bool due = epoch % train.val_every_epochs == 0 || epoch == loop.epochs();
  const auto goal = schema::parse_goal(train.select);
  if (!due) return;
  last_ = validate_();
  for (const auto& [metric, value] : last_) curves_[metric].push_back(value);
  tracker::RunSink& sink = *loop.context().sink;
  if (loop.first_rank())
    for (const auto& [metric, value] : last_)
      sink.log(sink.metric("val." + metric, metric::unit_of(metric), Grain::kEpoch), epoch, value);
  const auto signed_value = [&](const schema::MetricGoal& wanted) {
    const auto found = last_.find(wanted.metric);
    if (found == last_.end()) return std::nan("");
    return wanted.maximise ? found->second : -found->second;
  };
  if (const auto plateau = schema::parse_goal(plateau_metric_))
    loop.schedule().observe(loop.step(), signed_value(*plateau));
  if (!goal || last_.empty()) return;
  const double value = signed_value(*goal);
  if (std::isnan(value) && !said_absent_ && loop.first_rank()) {
    said_absent_ = true;
    loop.context().say(fmt::format("WARNING: epoch {}: train.select = \"{}\" finds no {}: {}",
                                   epoch, train.select, goal->metric,
                                   evaluate::why_absent(goal->metric, value)));
  }
  if (!std::isnan(value) && (best_epoch_ == 0 || value > best_)) {
    best_ = value;
    best_epoch_ = epoch;
    if (loop.first_rank()) keep_best_(last_);
  }
  if (train.early_stop_epochs > 0 && best_epoch_ > 0 &&
      epoch - best_epoch_ >= train.early_stop_epochs) {
    loop.context().say(fmt::format("epoch {}: no better {} since epoch {}; training ends", epoch,
                                   train.select, best_epoch_));
    loop.end();
  }
}

State ValidateHook::state() const {
  State state;
  state.facts["best"] = best_;
  state.facts["best_epoch"] = best_epoch_;
  for (const auto& [metric, value] : last_) state.facts["last." + metric] = value;
  for (const auto& [metric, values] : curves_) state.facts["curve." + metric] = values;
  return state;
}

void ValidateHook::load(const State& state) {
  best_ = state.number("best");
  best_epoch_ = state.integer("best_epoch");
  last_.clear();
  for (const auto& [name, fact] : state.facts)
    if (name.starts_with("last.")) last_[name.substr(5)] = state.number(name);
  curves_.clear();
  for (const auto& [name, fact] : state.facts)
    if (name.starts_with("curve.")) curves_[name.substr(6)] = state.numbers(name);
}

void DivergenceHook::before_update(Loop& loop, const StepResult& result) {
  sum_ += result.loss;
  if (++count_ < window_) return;
  const double mean = sum_ / static_cast<double>(count_);
  sum_ = 0;
  count_ = 0;
  if (first_ < 0) first_ = lowest_ = mean;
  if (mean > 10 * lowest_ && mean > first_)
    loop.fail(result,
              fmt::format("the loss ran away: {:.4g} over the last {} steps, {:.4g} at its best; "
                          "lower optimiser.lr (now {:.3g}) or set train.clip_norm; step {}",
                          mean, window_, lowest_, result.lr, result.place.step));
  lowest_ = std::min(lowest_, mean);
}

State DivergenceHook::state() const {
  State state;
  state.facts["sum"] = sum_;
  state.facts["count"] = count_;
  state.facts["first"] = first_;
  state.facts["lowest"] = lowest_;
  return state;
}

void DivergenceHook::load(const State& state) {
  sum_ = state.number("sum");
  count_ = state.integer("count");
  first_ = state.number("first");
  lowest_ = state.number("lowest");
}

}  // namespace xp::train
