#pragma once

#include <cstdint>
#include <span>

namespace xp::sweeps {

/// Asynchronous successive halving, stopping form (Li et al. 2020, "A system for massively parallel
/// hyperparameter tuning"). Rungs lie at first, first * factor, first * factor^2, ... completed
/// epochs. A trial that reaches a rung goes on when it is among the best 1 / factor of those that
/// reached it so far, itself included.
struct Halving {
  int64_t first = 1;
  int64_t factor = 3;

  /// The highest rung at or below `epoch`; 0 when none is reached.
  int64_t rung(int64_t epoch) const;
  /// `losses`: of all that reached the rung, own one included. NaN never goes on.
  bool goes_on(std::span<const double> losses, double own) const;
};

}  // namespace xp::sweeps
