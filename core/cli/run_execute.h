#pragma once

#include <string>
#include <vector>

#include "core/cli/plan_run.h"
#include "core/graph/execute.h"

namespace xp::cli {

struct Session;

/// Carries a planned run out and records it: goes on with an unfinished run of the same recipe
/// (attempt k+1) unless `fresh`, prints the summary, returns the exit code. `versions` as in
/// tracker::RunOptions.
int execute_run(const RunArguments& arguments, PlannedRun planned, const Session& session,
                graph::Runner& runner, const std::vector<std::string>& versions);

}  // namespace xp::cli
