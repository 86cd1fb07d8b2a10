#pragma once

#include <cstdint>
#include <vector>

#include "core/schema/schedule.h"
#include "core/train/state.h"

namespace xp::train {

/// PaSST's and EfficientAT's factor of the learning rate after `epoch` completed epochs
/// (`helpers/ramp.py`): exp(-5 (1 - max(e, 0.5) / warmup)^2) before `warmup`, then 1 until
/// `down_from`, then linear over `down` epochs to `last`.
double exp_linear_factor(double epoch, double warmup, double down_from, double down, double last);

/// PaSST's cosine cycles of `cycle` epochs between 1 and `last`; `last` for good from the first end
/// of a cycle at or after `down_from`.
double cosine_cycle_factor(int64_t epoch, int64_t cycle, int64_t down_from, double last);

/// Linear warm-up: e / warmup, then half a cosine from 1 at `down_from` to `last` at `down_from +
/// down`.
double cosine_factor(double epoch, double warmup, double down_from, double down, double last);

/// The learning rate of every optimiser step.
///
/// All kinds but plateau are a pure function of the number of completed steps. `step` (AST)
/// multiplies by `factor` after `first_epoch`, `first_epoch + every_epochs`, .. completed epochs.
/// AST's staircase warm-up assigns step / warmup_steps * lr every `warmup_every_steps` steps up to
/// and including `warmup_steps`: it starts at 0 and forgets a decay that came before the last
/// assignment, as the original does.
class Schedule {
 public:
  Schedule(const schema::ScheduleOptions& options, double base_lr, int64_t steps_per_epoch);

  /// The rate for the step after `step` completed ones.
  double lr(int64_t step) const;

  /// The value of the watched metric after an evaluation at `step` completed steps; larger is
  /// better (callers pass -loss). Only plateau listens: torch's ReduceLROnPlateau with mode max,
  /// relative threshold 1e-4, eps 1e-8.
  void observe(int64_t step, double metric);

  /// Training goes on after `step` completed steps, which make `epoch` completed epochs. Where an
  /// epoch had another number of steps before (`train.start_from`), epochs count on from here.
  void go_on(int64_t epoch, int64_t step);

  State state() const;
  void load(const State& state);

 private:
  bool warming() const { return options_.warmup_steps > 0; }
  int64_t last_assignment(int64_t step) const;
  int64_t step_of(int64_t epoch) const;
  /// Completed epochs at which the fall begins.
  double down_from() const;

  schema::ScheduleOptions options_;
  double base_lr_;
  int64_t steps_per_epoch_;
  int64_t from_epoch_ = 0;  // completed at from_step_; since then an epoch has steps_per_epoch_
  int64_t from_step_ = 0;
  // plateau
  double best_ = 0;
  bool has_best_ = false;
  int64_t bad_ = 0;
  std::vector<int64_t> reductions_;  // completed steps at which the rate was multiplied
};

}  // namespace xp::train
