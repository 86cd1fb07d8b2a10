#pragma once

#include <string>

#include "core/cli/command.h"
#include "core/cli/sweep.h"
#include "sweeps/sweep_work.h"

namespace xp::cli {

/// What `exp sweeps` was asked for: status, cancel and resume in `exp`; `work`, which executors
/// start, in exp-compute.
struct SweepsArguments {
  std::string action;
  sweeps::SweepShare share;  ///< of `work`; its id names the sweep for the others too
  PlaceOptions place;
  int threads = 0;  ///< 0 = the workspace's

  /// The workspace with the devices and threads of the command line.
  run::Workspace workspace(const Session& session) const;
};

}  // namespace xp::cli
