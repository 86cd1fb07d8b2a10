#pragma once

#include <cstdint>
#include <string>

#include "core/base/cpu.h"
#include "core/run/plan_run.h"

namespace xp::run {

/// A line for each training that a plan will run: its parameters and the memory it takes at the
/// least (core/schema/memory.h). "" where none will run.
std::string memory_text(const PlannedRun& planned);

/// Throws Error (kUsage) naming the training that needs more memory than `there` bytes, and what
/// would make it smaller; nothing where the workspace or the command allows any memory. What GPUs
/// have is not known here: trainings on them are let through.
void check_memory(const PlannedRun& planned, uint64_t there = usable_memory());

/// Throws Error (kUsage) naming the training whose groups of batch norm the workspace's
/// runtime.micro_batch would split.
void check_micro_batch(const PlannedRun& planned);

}  // namespace xp::run
