#pragma once

#include <string>
#include <vector>

#include "core/report/comparison.h"

namespace xp::report {

/// The runs that a request means, and how to name the lot.
struct Chosen {
  std::string title;
  std::vector<std::string> uids;  ///< in the order named; filters and sweeps oldest first
  bool named = false;             ///< each run was named: its order counts, none is left out
};

/// Throws Error for a target that names nothing.
Chosen choose(tracker::Query& query, const Request& request);

}  // namespace xp::report
