#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/schema/averaging.h"
#include "core/train/averaging.h"
#include "core/train/loop.h"
#include "tracker/run_sink.h"

namespace xp::train {

/// Logs every train.log_every_steps steps, and the first and last one: train.loss (mean since the
/// last point) and its parts, lr, train.grad_norm of each group; every epoch: train.clips_per_s,
/// train.stall_p, train.peak_mem_mb.
class LogHook final : public Hook {
 public:
  explicit LogHook(tracker::RunSink& sink) : sink_(sink) {}
  std::string name() const override { return "log"; }
  void before_epoch(Loop& loop) override;
  void after_step(Loop& loop, const StepResult& result) override;
  void after_epoch(Loop& loop) override;
  State state() const override;
  void load(const State& state) override;

 private:
  void log(const std::string& metric, tracker::Grain grain, int64_t step, double value);

  tracker::RunSink& sink_;
  std::map<std::string, double> sums_;  // of loss and parts since the last point
  int64_t steps_ = 0;
  int64_t epoch_began_ns_ = 0;
  int64_t epoch_clips_ = 0;
};

/// Keeps the averaged weights along.
class AverageHook final : public Hook {
 public:
  explicit AverageHook(Averaging& averaging) : averaging_(averaging) {}
  std::string name() const override { return "average"; }
  void before_epoch(Loop& loop) override { averaging_.before_epoch(loop.epoch()); }
  void after_update(Loop&) override { averaging_.after_step(); }
  void after_epoch(Loop& loop) override { averaging_.after_epoch(loop.epoch()); }
  State state() const override { return averaging_.state(); }
  void load(const State& state) override { averaging_.load(state); }

 private:
  Averaging& averaging_;
};

/// Validates every train.val_every_epochs epochs and after the last one; tells the schedule
/// (plateau), keeps the best by train.select, ends the training after train.early_stop_epochs
/// without a better one.
class ValidateHook final : public Hook {
 public:
  using Metrics = std::map<std::string, double>;
  /// `validate` gives metric leaf -> value ("loss", "mAP", "acc"); empty where there is nothing to
  /// validate on. `keep_best` writes the weights as they are now.
  ValidateHook(std::function<Metrics()> validate, std::function<void(const Metrics&)> keep_best,
               std::string plateau_metric)
      : validate_(std::move(validate)),
        keep_best_(std::move(keep_best)),
        plateau_metric_(std::move(plateau_metric)) {}
  std::string name() const override { return "validate"; }
  void after_epoch(Loop& loop) override;
  State state() const override;
  void load(const State& state) override;

  const Metrics& last() const { return last_; }
  /// Value of each metric at each validation: curves.json.
  const std::map<std::string, std::vector<double>>& curves() const { return curves_; }
  int64_t best_epoch() const { return best_epoch_; }  ///< 0 = none yet

 private:
  std::function<Metrics()> validate_;
  std::function<void(const Metrics&)> keep_best_;
  std::string plateau_metric_;
  Metrics last_;
  std::map<std::string, std::vector<double>> curves_;
  double best_ = 0;
  int64_t best_epoch_ = 0;
  bool said_absent_ = false;  // that train.select finds no metric: once a process
};

/// Stops a training whose loss has run away: the mean of a window of steps is above ten times the
/// lowest mean of any window before it, and above its first.
class DivergenceHook final : public Hook {
 public:
  explicit DivergenceHook(int64_t window = 50) : window_(window) {}
  std::string name() const override { return "divergence"; }
  void before_update(Loop& loop, const StepResult& result) override;
  bool decides(int64_t unread) const override { return count_ + unread + 1 >= window_; }
  State state() const override;
  void load(const State& state) override;

 private:
  int64_t window_;
  double sum_ = 0;
  int64_t count_ = 0;
  double first_ = -1;
  double lowest_ = -1;
};

/// Writes a Chrome trace of steps `first` .. `first + count - 1` of this process to `file`.
class ProfileHook final : public Hook {
 public:
  ProfileHook(std::string file, int64_t first = 5, int64_t count = 3)
      : file_(std::move(file)), first_(first), count_(count) {}
  ~ProfileHook() override;
  std::string name() const override { return "profile"; }
  void after_update(Loop& loop) override;

 private:
  void finish(Loop* loop);
  std::string file_;
  int64_t first_;
  int64_t count_;
  int64_t seen_ = 0;
  bool running_ = false;
};

}  // namespace xp::train
