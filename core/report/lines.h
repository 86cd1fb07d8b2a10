#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/report/comparison.h"

namespace xp::report {

/// Configurations that differ in one swept number alone.
struct Line {
  std::string name;  ///< what the others of its key sets have: "kd.lambda = 0.1"; may be ""
  std::vector<size_t> groups;  ///< into Comparison::groups, by ascending value
};

/// The lines over `key` (an index of Comparison::keys); groups without a number there are in none.
std::vector<Line> lines_over(const Comparison& comparison, size_t key);

/// A swept number crossed with few other settings: token merging with and without a teacher.
struct Crossing {
  size_t key = 0;           ///< the number with most values, three at least
  std::vector<Line> lines;  ///< two to four, each with half of the values or more
};
/// nullopt where the runs are no such set.
std::optional<Crossing> crossing_of(const Comparison& comparison);

}  // namespace xp::report
