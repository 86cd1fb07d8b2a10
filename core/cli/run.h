#pragma once

#include <string>

#include "core/run/plan_run.h"
#include "core/run/run_execute.h"

namespace xp::cli {

struct Session;

/// What `exp run` was asked for: it validates, plans and prints in `exp`; exp-compute plans again
/// and carries it out.
struct RunOptions {
  run::RunArguments run;
  std::string profile;  ///< folder for Chrome traces of trainings; "" = none
  bool queue = false;
  bool dry_run = false;
};

/// Prints what came of a run: the summary on stdout, the stages that failed on stderr. `session`
/// outlives what is returned.
run::RunEnded tell_outcome(const Session& session);

}  // namespace xp::cli
