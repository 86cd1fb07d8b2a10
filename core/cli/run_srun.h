#pragma once

#include <string>
#include <vector>

#include "core/cli/command.h"
#include "core/cli/plan_run.h"

namespace xp::cli {

/// `exp run .. --nodes N --devices D` as a command line of srun: N nodes, a task for each device of
/// a node, each task the same command without --nodes. Throws Error where --devices does not say
/// how many a node has.
std::vector<std::string> srun_words(const RunArguments& arguments, const Session& session);

/// Checks the recipe, then replaces this process by srun. Throws Error for faults of the recipe and
/// where there is no srun.
[[noreturn]] void become_srun(const RunArguments& arguments, const Session& session);

}  // namespace xp::cli
