#pragma once

#include <string>
#include <vector>

#include "core/report/comparison.h"

namespace xp::report {

/// One drawing of a report. `svg` needs svg_style around it; svg_file makes a file of it.
struct Figure {
  std::string id;  ///< letters, digits, hyphens: the name of its file
  std::string title, caption;
  std::string svg;
};

/// The chart that --x and --y ask for, or none.
std::vector<Figure> asked_figures(const Comparison& comparison);

/// Metrics over each swept number, with error bars, and the speed-up over its smallest value.
std::vector<Figure> sweep_figures(const Comparison& comparison);

/// Quality over speed with the Pareto front (memory as a third objective), the interaction of two
/// keys, parallel coordinates.
std::vector<Figure> trade_figures(const Comparison& comparison);

/// Learning curves, read from the runs: at most 12 configurations, the first seed of each, thinned
/// so that spikes and NaN stay.
std::vector<Figure> curve_figures(tracker::Query& query, const Comparison& comparison);

/// The classes whose AP differs most between the first configuration and the last.
std::vector<Figure> class_figures(tracker::Query& query, const Comparison& comparison);

/// All of the above that apply, in the order of a report.
std::vector<Figure> make_figures(tracker::Query& query, const Comparison& comparison);

}  // namespace xp::report
