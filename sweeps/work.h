#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/stop.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// What carries trials out sees of the sweep while it does so. Any thread.
class TrialControl {
 public:
  virtual ~TrialControl() = default;
  /// A trial's run is `run` from now on.
  virtual void began(int64_t number, const std::string& run) = 0;
  /// What is being done, for status lines: "train: epoch 3/10".
  virtual void doing(std::string_view what) noexcept = 0;
  /// The objective of a trial after `epoch` completed epochs: the strategy may end the trial.
  virtual void epoch_value(int64_t number, int64_t epoch, double value) noexcept = 0;
  /// Why to stop: a signal, `exp sweeps cancel`, a lease that another took, or (kRequested with
  /// `stopped_early`) the strategy. Cheap.
  virtual StopReason stop() const = 0;
  /// Why the strategy ended the trial, "" while it did not.
  virtual std::string stopped_early() const = 0;
};

/// Carries trials out: in exp-compute the stages, in tests fakes.
class TrialRunner {
 public:
  virtual ~TrialRunner() = default;
  /// All of one bundle, together where that is possible. Returns how each ended; a failure of one
  /// is no failure of the others. Throws only for faults of ours.
  virtual std::map<int64_t, Ending> run(const std::vector<Trial>& trials,
                                        TrialControl& control) = 0;
};

struct WorkOptions {
  std::string job;   ///< of a cluster, "" on this machine
  int64_t only = 0;  ///< only the bundle of this trial; 0 = whatever is next
  int most = 32;     ///< trials of one bundle at a time
  /// Called when nothing can be claimed: true = look again (after a short sleep), false = end.
  std::function<bool()> idle = [] { return false; };
};

/// Claims and carries out trials until there is none, the sweep is halted or a stop is asked for.
/// Leases are renewed by a thread with a connection of its own. Returns how many trials ended here.
size_t work(SweepDb& db, TrialRunner& runner, const WorkOptions& options);

}  // namespace xp::sweeps
