#pragma once

#include <optional>
#include <vector>

#include "core/metric/metric.h"
#include "core/metric/metrics.h"

namespace xp::metric {

/// A scored split, and what several metrics are made of: each made when it is first asked for, and
/// kept. For one thread.
class Scored {
 public:
  /// The spans of `table` must live as long as this.
  explicit Scored(const Table& table) : table_(table) {}

  const Table& table() const { return table_; }
  const RankedTable& ranked() const;
  const std::vector<ClassScore>& per_class() const;
  const Summary& summary() const;
  const std::vector<float>& correct() const;  ///< [N], 1 where the clip is right

 private:
  Table table_;
  mutable std::optional<RankedTable> ranked_;
  mutable std::optional<std::vector<ClassScore>> per_class_;
  mutable std::optional<Summary> summary_;
  mutable std::optional<std::vector<float>> correct_;
};

// What metrics.inc names: the value of a split where clip i counts counts[i] times, once each
// without counts. A metric without bounds is never asked with counts. NaN where the split has no
// such value.
#define XP_ASKED(name, function, ...) double function(const Scored& scored, Counts counts);
#define XP_WITH(asked, name, function, ...) double function(const Scored& scored, Counts counts);
#include "core/metric/metrics.inc"

}  // namespace xp::metric
