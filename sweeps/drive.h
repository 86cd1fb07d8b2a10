#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/stop.h"
#include "sweeps/executor.h"
#include "sweeps/table.h"

namespace xp::sweeps {

struct DriveOptions {
  int64_t max_failures = 0;  ///< failures from now on after which no trial begins; 0 = never
  bool fail_fast = false;    ///< the first failure ends running trials too
  bool selected_on_test = false;
  /// Proposes more trials; see propose.h. Empty for a grid.
  std::function<void()> propose;
};

struct Driven {
  Counts counts;
  StopReason stopped = StopReason::kNone;
  std::string halted;  ///< why no more trial began, "" = all ended
};

/// Watches over a sweep until every wanted trial ended or a stop is asked for: gives trials of dead
/// workers back, says failures as they happen, draws one line. Several drivers may watch over one
/// sweep.
Driven drive(SweepDb& db, Executor& executor, const DriveOptions& options);

/// The best trial so far as "eval.mAP 0.412 (tome.r = 16)", several objectives as "5 on the Pareto
/// front"; "" while there is none. `on_test` adds "selected on test".
std::string best_text(const std::vector<Trial>& trials, const SweepSpec& spec, bool on_test);

}  // namespace xp::sweeps
