#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric/metrics.h"
#include "core/report/statistics.h"
#include "tracker/query.h"

namespace xp::report {

/// What is to be compared.
struct Request {
  /// Runs ("last", letters of a uid), sweeps (letters of their id), names of experiments (all their
  /// runs) and filters ("tome.r>=16"), joined. Empty: the newest sweep, else the runs of the newest
  /// experiment.
  std::vector<std::string> targets;
  std::vector<std::string> metrics;  ///< names, or their last parts ("mAP"); empty = what matters
  std::string x, y;                  ///< one chart: a key or metric over another; y empty = none
  /// Exactly these runs under this title, whatever `targets` means now: how a report is made again.
  /// Filled in Comparison::request.
  std::vector<std::string> uids;
  std::string title;
  bool named = false;  ///< each run was named: their order counts
};

using metric::Better;
using metric::leaf;

struct Metric {
  std::string name;  ///< "eval.mAP"
  tracker::Unit unit = tracker::Unit::kNone;
  tracker::Grain grain = tracker::Grain::kFinal;
  Better better = Better::kUnknown;
};

/// Runs whose configurations are equal but for the seed.
struct Group {
  std::vector<std::optional<tracker::Value>> values;  ///< one a differing key
  std::vector<size_t> runs;                           ///< into Comparison::runs, by seed
  std::vector<Estimate> estimates;                    ///< one a metric
  std::vector<Contrast> contrasts;                    ///< against the first group, one a metric
  /// "tome.r = 16", "tome.r = 16, kd.lambda = 0.1"; the run's name where nothing differs.
  std::string label;
};

struct Comparison {
  Request request;
  std::string title;                   ///< "sweep 3F9KQ2ZT", "experiment quickstart", "2 runs"
  std::vector<tracker::RunInfo> runs;  ///< compared, each in one group
  std::vector<std::string> seeds;      ///< of each run; "" where it has none
  std::vector<std::string> keys;       ///< that differ, but for the seed and labels
  std::vector<Metric> metrics;         ///< that matter most first
  std::vector<Group> groups;           ///< by values, or as named; the first is the base
  std::vector<std::string> notes;      ///< what a reader must know: left-out runs, repeated seeds
  /// Some of what is ranked here was measured on the test split: why, else empty.
  std::string selected_on_test;
  /// sha256 over runs, values and metrics: equal = nothing has changed since.
  std::string digest;

  /// Index into `metrics`, or npos. By full name, else by last part.
  size_t find_metric(std::string_view name) const;
  /// The metric that says how good a model is: mAP, else acc, auc, d_prime, loss; npos when absent.
  size_t quality() const;
  /// clips_per_s of the stage that `quality` is of, else of any; npos when absent.
  size_t speed() const;
  bool same() const { return keys.empty(); }
};
constexpr size_t npos = std::string::npos;

/// Reads what `request` names and compares it. Throws Error (kUsage) for a target or metric that is
/// not there, with the nearest, and (kData) when no run is left to compare.
Comparison compare(tracker::Query& query, const Request& request);

/// How `group` differs from `base` in a metric: paired where seeds match (docs/report.md).
Contrast contrast_between(const Comparison& comparison, const Group& base, const Group& group,
                          size_t metric);

/// The values of `metric` in the runs of a group, in the order of its runs; NaN where a run has
/// none.
std::vector<double> values_of(const Comparison& comparison, const Group& group,
                              std::string_view metric);

/// A value as a number, where it is one (false and true are none).
std::optional<double> number_of(const std::optional<tracker::Value>& value);

}  // namespace xp::report
