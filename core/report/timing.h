#pragma once

#include <vector>

#include "core/report/comparison.h"
#include "tracker/query.h"

namespace xp::report {

/// Gives each training stage of the runs a metric `STAGE.epoch_s`: the median time from the
/// end of one epoch's training to the next, what validation there is between them included. Runs
/// with fewer than two epochs get none; of more than 256 runs nobody does, for it reads a curve of
/// each.
void add_epoch_seconds(tracker::Query& query, std::vector<tracker::RunInfo>& runs);

/// Adds to the notes what keeps the throughputs of a comparison from being compared: runs whose
/// threads waited for a core more than 5 % of the time while speed was measured
/// (`STAGE.cpu_wait_p`), and several machines. Values of a reused stage were measured by another
/// run: its machine is not known here.
void add_speed_notes(Comparison& comparison);

}  // namespace xp::report
