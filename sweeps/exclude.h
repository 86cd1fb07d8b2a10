#pragma once

#include <string>
#include <vector>

#include "sweeps/space.h"
#include "tracker/sqlite.h"

namespace xp::sweeps {

/// Filters (docs/filters.md) that leave points out: "tome.r>=32 and kd.lambda<0.2". They may name
/// swept keys and experiment.seed.
class Exclude {
 public:
  /// Throws Error for a filter that cannot be read or names a key that is not swept.
  Exclude(const Space& space, const std::vector<std::string>& filters);

  /// True when one of the filters holds for the point.
  bool holds(const Point& point, int64_t seed) const;

 private:
  const Space* space_;
  mutable tracker::sql::Database db_;
  std::vector<std::string> texts_;
};

}  // namespace xp::sweeps
