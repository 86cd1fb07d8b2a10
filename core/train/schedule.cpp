#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.h"

namespace xp::train {
namespace {

double exp_warmup(double epoch, double warmup) {
  if (epoch >= warmup) return 1;
  const double missing = 1 - std::max(epoch, 0.5) / warmup;
  return std::exp(-5 * missing * missing);
}

constexpr double kPlateauThreshold = 1e-4;
constexpr double kPlateauEps = 1e-8;

}  // namespace

double exp_linear_factor(double epoch, double warmup, double down_from, double down, double last) {
  double ramp = 1;
  if (epoch > down_from)
    ramp = epoch - down_from < down ? last + (1 - last) * (down - epoch + down_from) / down : last;
  return exp_warmup(epoch, warmup) * ramp;
}

double cosine_cycle_factor(int64_t epoch, int64_t cycle, int64_t down_from, double last) {
  XP_CHECK(cycle >= 1, "cosine cycle: at least one epoch");
  if (epoch > cycle + (down_from - 1) / cycle * cycle) return last;
  const double phase = static_cast<double>(epoch + cycle / 2) / static_cast<double>(cycle);
  return last + (1 - last) / 2 * (std::cos(2 * std::numbers::pi * phase) + 1);
}

double cosine_factor(double epoch, double warmup, double down_from, double down, double last) {
  const double rise = epoch < warmup ? epoch / warmup : 1.0;
  if (epoch <= down_from) return rise;
  const double part = std::min(1.0, (epoch - down_from) / down);
  return rise * (last + (1 - last) / 2 * (std::cos(std::numbers::pi * part) + 1));
}

Schedule::Schedule(const schema::ScheduleOptions& options, double base_lr, int64_t steps_per_epoch)
    : options_(options), base_lr_(base_lr), steps_per_epoch_(steps_per_epoch) {
  XP_CHECK(steps_per_epoch >= 1, "schedule: at least one step an epoch");
}

/// The last step at or before `step` at which the staircase assigned the rate, -1 for none.
int64_t Schedule::last_assignment(int64_t step) const {
  if (!warming()) return -1;
  const int64_t every = std::max<int64_t>(1, options_.warmup_every_steps);
  return std::min(step, options_.warmup_steps) / every * every;
}

/// The completed steps at which `epoch` epochs are completed.
int64_t Schedule::step_of(int64_t epoch) const {
  return from_step_ + (epoch - from_epoch_) * steps_per_epoch_;
}

double Schedule::down_from() const {
  if (options_.down_from_epoch >= 0) return static_cast<double>(options_.down_from_epoch);
  const double staircase =
      static_cast<double>(options_.warmup_steps) / static_cast<double>(steps_per_epoch_);
  return std::max(static_cast<double>(options_.warmup_epochs), staircase);
}

void Schedule::go_on(int64_t epoch, int64_t step) {
  if (step_of(epoch) == step) return;
  from_epoch_ = epoch;
  from_step_ = step;
}

double Schedule::lr(int64_t step) const {
  const int64_t assigned = last_assignment(step);
  double rate = base_lr_;
  if (assigned >= 0)
    rate *= static_cast<double>(assigned) / static_cast<double>(options_.warmup_steps);
  const int64_t completed = from_epoch_ + (step - from_step_) / steps_per_epoch_;
  const auto epoch = static_cast<double>(completed);
  const auto& o = options_;
  const auto warmup = static_cast<double>(o.warmup_epochs);
  const double from = down_from();
  const auto down = static_cast<double>(o.down_epochs);
  switch (o.kind) {
    case schema::ScheduleKind::kConstant:
      return rate;
    case schema::ScheduleKind::kStep:
      // A decay at the end of epoch e happens before the step with that number.
      for (int64_t e = o.first_epoch; e <= completed; e += std::max<int64_t>(1, o.every_epochs))
        if (step_of(e) > assigned && e > 0) rate *= o.factor;
      return rate;
    case schema::ScheduleKind::kPlateau:
      for (const int64_t at : reductions_)
        if (at > assigned && at <= step) rate *= o.factor;
      return rate;
    case schema::ScheduleKind::kExpLinear:
      // The staircase overrides the kind until it is done.
      if (warming() && step <= o.warmup_steps) return rate;
      return base_lr_ * exp_linear_factor(epoch, warmup, from, down, o.last_factor);
    case schema::ScheduleKind::kCosine:
      if (warming() && step <= o.warmup_steps) return rate;
      if (o.down_epochs == 0)
        return base_lr_ * cosine_cycle_factor(completed, std::max<int64_t>(1, o.warmup_epochs),
                                              static_cast<int64_t>(std::ceil(from)), o.last_factor);
      // Smooth: by steps, so that the first one of a warm-up is not lost.
      return base_lr_ * cosine_factor(static_cast<double>(from_epoch_) +
                                          static_cast<double>(step - from_step_ +
                                                              (o.warmup_epochs > 0 ? 1 : 0)) /
                                              static_cast<double>(steps_per_epoch_),
                                      warmup, from, down, o.last_factor);
  }
  return rate;
}

void Schedule::observe(int64_t step, double metric) {
  if (options_.kind != schema::ScheduleKind::kPlateau || std::isnan(metric)) return;
  // torch compares with best * (1 + threshold) in mode max and best * (1 - threshold) in mode min;
  // callers pass a negated loss, where the margin has to point the other way.
  const double margin = kPlateauThreshold * std::abs(best_);
  if (!has_best_ || metric > best_ + margin) {
    best_ = metric;
    has_best_ = true;
    bad_ = 0;
    return;
  }
  if (++bad_ <= options_.patience) return;
  bad_ = 0;
  const double now = lr(step);
  if (now - now * options_.factor > kPlateauEps) reductions_.push_back(step);
}

State Schedule::state() const {
  State state;
  state.facts["best"] = best_;
  state.facts["has_best"] = static_cast<int64_t>(has_best_);
  state.facts["bad"] = bad_;
  state.facts["reductions"] = reductions_;
  state.facts["from_epoch"] = from_epoch_;
  state.facts["from_step"] = from_step_;
  return state;
}

void Schedule::load(const State& state) {
  best_ = state.number("best");
  has_best_ = state.integer("has_best") != 0;
  bad_ = state.integer("bad");
  reductions_ = state.integers("reductions");
  from_epoch_ = state.integer("from_epoch");
  from_step_ = state.integer("from_step");
}

}  // namespace xp::train
