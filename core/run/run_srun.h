#pragma once

#include <string>
#include <vector>

#include "core/run/invocation.h"
#include "core/run/plan_run.h"

namespace xp::run {

/// `exp run .. --nodes N --devices D` as a command line of srun: N nodes, a task for each device of
/// a node, each task the same command without --nodes. Throws Error where --devices does not say
/// how many a node has.
std::vector<std::string> srun_words(const RunArguments& arguments, const Invocation& invocation);

/// Checks the recipe in the workspace `root`, then replaces this process by srun. Throws Error for
/// faults of the recipe and where there is no srun.
[[noreturn]] void become_srun(const RunArguments& arguments, const Invocation& invocation,
                              const std::filesystem::path& root);

}  // namespace xp::run
