#pragma once

#include <string>
#include <vector>

#include "tracker/query.h"

namespace xp::tracker {

/// How one metric of two runs compares, point by point.
struct MetricMatch {
  std::string name;
  size_t points = 0;  ///< steps that both have
  size_t only_a = 0, only_b = 0;
  size_t different = 0;  ///< of `points`, by bits (NaN equals NaN)
  double largest = 0;    ///< greatest absolute difference of numbers
  bool same() const { return different == 0 && only_a == 0 && only_b == 0; }
};

/// Metrics that time or the machine decides: throughput, latency, memory, stalls, system.*. They
/// never come again.
bool depends_on_the_machine(std::string_view metric);

/// Every metric of either run but those that depend on the machine, sorted by name.
std::vector<MetricMatch> compare_metrics(Query& a, std::string_view uid_a, Query& b,
                                         std::string_view uid_b);

}  // namespace xp::tracker
