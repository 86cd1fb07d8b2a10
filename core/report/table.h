#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/report/comparison.h"

namespace xp::report {

/// A varied key's value, "-" for a run without it.
std::string value_text(const std::optional<tracker::Value>& value);

/// Letters, not bytes: "±" is two bytes. What columns and labels are measured by.
size_t count_letters(const std::string& text);

/// `value` with so many digits that `deviation` keeps two; four significant digits where there is
/// no deviation (NaN or 0). "nan" and "inf" as such.
std::string number_text(double value, double deviation = kNaN);

/// "0.4123 ± 0.0031" over seeds; "0.812 [0.721, 0.879]" for one seed with an interval over clips;
/// "-" for nothing.
std::string estimate_text(const Estimate& estimate);

/// "+0.0120 [0.0010, 0.0230]"; the bare difference where nothing bounds it; "" for none.
std::string contrast_text(const Contrast& contrast);

struct Cell {
  std::string text;
  bool best = false;  ///< the best of its metric, where that has a direction and values differ
};
struct Table {
  std::string caption;
  /// Above the columns, from the left, after the labels: what so many of them belong to; may be
  /// empty.
  std::vector<std::pair<std::string, size_t>> spans;
  std::vector<std::string> head;
  std::vector<std::vector<Cell>> rows;  ///< the first `labels` cells of a row say what it is
  size_t labels = 1;
};

/// Few groups: one table of the keys that differ, one of the metrics side by side with differences.
/// More: one table with a row for each group, and for a swept number crossed with few other
/// settings one with a row for each of its values (acc, mAP, auc, loss, clips_per_s, epoch_s side
/// by side). At most `metrics` metrics (0 = all).
std::vector<Table> make_tables(const Comparison& comparison, size_t metrics);

/// The group with the best mean of a metric; npos where it has no direction or all are equal.
size_t best_group(const Comparison& comparison, size_t metric);

}  // namespace xp::report
