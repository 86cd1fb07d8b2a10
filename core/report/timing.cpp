#include "core/report/timing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace xp::report {
namespace {

constexpr size_t kTimedRuns = 256;

// The median time from one epoch's values to the next; NaN for fewer than two epochs.
double epoch_seconds(const tracker::Curve& curve) {
  std::vector<double> seconds;
  for (size_t i = 1; i < curve.points.size(); ++i) {
    const tracker::Point &before = curve.points[i - 1], &point = curve.points[i];
    if (point.attempt == before.attempt && point.step == before.step + 1)
      seconds.push_back(static_cast<double>(point.time_ns - before.time_ns) * 1e-9);
  }
  if (seconds.empty()) return NAN;
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

}  // namespace

void add_epoch_seconds(tracker::Query& query, std::vector<tracker::RunInfo>& runs) {
  if (runs.size() > kTimedRuns) return;
  for (tracker::RunInfo& run : runs) {
    std::map<std::string, std::string> validations;  // stage -> one metric of it
    for (const auto& [name, summary] : run.metrics) {
      const size_t dot = name.find(".val.");
      if (dot != std::string::npos && summary.grain == tracker::Grain::kEpoch && summary.n > 1)
        validations.try_emplace(name.substr(0, dot), name);
    }
    for (const auto& [stage, name] : validations) {
      tracker::MetricSummary summary;
      summary.unit = tracker::Unit::kSeconds;
      summary.grain = tracker::Grain::kFinal;
      summary.n = 1;
      summary.reused = run.metrics.at(name).reused;
      summary.last = epoch_seconds(query.curve(run.uid, name));
      if (std::isfinite(summary.last)) run.metrics.try_emplace(stage + ".epoch_s", summary);
    }
  }
}

}  // namespace xp::report
