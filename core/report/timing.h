#pragma once

#include <vector>

#include "tracker/query.h"

namespace xp::report {

/// Gives each training stage of the runs a metric `STAGE.epoch_s`: the median time from one
/// validation to the next, training and validation together. Runs with fewer than two epochs get
/// none; of more than 256 runs nobody does, for it reads a curve of each.
void add_epoch_seconds(tracker::Query& query, std::vector<tracker::RunInfo>& runs);

}  // namespace xp::report
