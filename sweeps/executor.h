#pragma once

#include <cstdint>
#include <string>

#include "core/base/stop.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// Where trials are carried out. Both executors start processes that claim from sweep.db; nothing
/// is handed to them but the sweep's id.
class Executor {
 public:
  virtual ~Executor() = default;
  /// Called about ten times a second: collects what ended, starts what `waiting` trials can use.
  /// `bundles`: of trials that wait or run. Throws Error when nothing can be started.
  virtual void tick(int64_t waiting, int64_t bundles) = 0;
  /// Workers (or jobs) that are on their way.
  virtual int active() const = 0;
  /// Asks them to end.
  virtual void stop(StopReason reason) = 0;
  /// True where a stop of the driver leaves its jobs to themselves.
  virtual bool outlives_driver() const = 0;
};

}  // namespace xp::sweeps
