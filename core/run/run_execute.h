#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/graph/execute.h"
#include "core/run/plan_run.h"

namespace xp::run {

/// Told once what came of a run, while its record still takes in what is printed. `run`: its ULID,
/// "" for a rehearsal (--check, --overfit), of which nothing is kept.
using RunEnded = std::function<void(const graph::Plan& plan, const graph::Execution& done,
                                    const std::string& run)>;

/// Carries a planned run out and records it: goes on with an unfinished run of the same recipe
/// (attempt k+1) unless `fresh`, tells `ended`, returns the exit code. `argv`: the command line
/// that is kept with it, `versions` as in tracker::RunOptions.
int execute_run(const RunArguments& arguments, PlannedRun planned,
                const std::vector<std::string>& argv, graph::Runner& runner,
                const std::vector<std::string>& versions, const RunEnded& ended);

}  // namespace xp::run
