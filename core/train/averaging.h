#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/averaging.h"
#include "core/train/state.h"

namespace xp::train {

/// The averaged weights behind `.average`. Parameters only: running statistics of batch norm are
/// re-estimated by the loop with the averaged parameters in place.
///
/// epochs (AST): plain mean of the weights after each completed epoch of first_epoch .. last_epoch.
/// swa (PaSST's use of Lightning's callback): running mean of the weights at the start of the
/// epochs number first_epoch, first_epoch + every_epochs, .., that is after first_epoch - 1, ..
/// completed ones. ema: average = decay * average + (1 - decay) * weights after every step, from
/// the initial weights; with `ramp` the decay after step t = 1, 2, .. is min(decay, (1 + t) / (10 +
/// t)), as TensorFlow's and timm's: a decay of 0.9999 alone holds the start weights for 10,000
/// steps.
class Averaging {
 public:
  using Named = std::vector<std::pair<std::string, at::Tensor>>;

  /// `epochs`: length of the training, the end of the range where last_epoch is 0.
  Averaging(const schema::AveragingOptions& options, Named parameters, int64_t epochs);

  void before_epoch(int64_t completed);
  void after_step();
  void after_epoch(int64_t completed);

  bool on() const { return options_.kind != schema::AveragingKind::kNone; }
  /// Snapshots taken so far (ema: steps).
  int64_t count() const { return count_; }

  /// Swaps the values of the model and the average. Twice = nothing. Precondition: count() > 0.
  void exchange();

  State state() const;
  void load(const State& state);

 private:
  void take(double weight);

  schema::AveragingOptions options_;
  Named parameters_;
  int64_t epochs_;
  std::vector<at::Tensor> average_;  // empty until the first snapshot
  int64_t count_ = 0;
};

}  // namespace xp::train
