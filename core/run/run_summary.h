#pragma once

#include <string>

#include "core/graph/execute.h"

namespace xp::run {

/// The table at the end of a run: stage, what happened, time, final metrics with their intervals;
/// the baseline's value beside an evaluation's; what was not started and why; the command that
/// looks further. `run` is a ULID, "" for a rehearsal, of which nothing is kept.
std::string summary_text(const graph::Plan& plan, const graph::Execution& done,
                         const std::string& run);

/// The same as JSON: {run, code, stages: [{name, kind, result, seconds, key, metrics, error}]}.
std::string summary_json(const graph::Plan& plan, const graph::Execution& done,
                         const std::string& run);

}  // namespace xp::run
