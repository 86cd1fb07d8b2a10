#include "core/report/timing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace xp::report {
namespace {

constexpr std::string_view kEachEpoch = ".train.clips_per_s";
constexpr size_t kTimedRuns = 256;
constexpr double kBusy = 0.05;
constexpr size_t kNamed = 8;  // runs that a note names

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
    std::map<std::string, std::string> epochs;  // stage -> what is logged at each epoch's end
    for (const auto& [name, summary] : run.metrics) {
      if (name.ends_with(kEachEpoch) && summary.n > 1)
        epochs.try_emplace(name.substr(0, name.size() - kEachEpoch.size()), name);
    }
    for (const auto& [stage, name] : epochs) {
      tracker::MetricSummary summary;
      summary.unit = metric::unit_of("epoch_s");
      summary.grain = tracker::Grain::kFinal;
      summary.n = 1;
      summary.reused = run.metrics.at(name).reused;
      summary.last = epoch_seconds(query.curve(run.uid, name));
      if (std::isfinite(summary.last)) run.metrics.try_emplace(stage + ".epoch_s", summary);
    }
  }
}

void add_speed_notes(Comparison& comparison) {
  const size_t speed = comparison.speed();
  if (speed == npos) return;
  const std::string& name = comparison.metrics[speed].name;
  const std::string wait = name.substr(0, name.size() - leaf(name).size()) + "cpu_wait_p";
  std::vector<std::string> busy;
  double most = 0;
  std::map<std::string, int> hosts;
  for (const tracker::RunInfo& run : comparison.runs) {
    const auto measured = run.metrics.find(name);
    if (measured == run.metrics.end()) continue;
    if (!measured->second.reused) ++hosts[run.host];
    const auto waited = run.metrics.find(wait);
    if (waited == run.metrics.end() || !(waited->second.last > kBusy)) continue;
    busy.push_back(run.uid.substr(run.uid.size() - std::min<size_t>(8, run.uid.size())));
    most = std::max(most, waited->second.last);
  }
  if (!busy.empty()) {
    const size_t more = busy.size() - std::min(busy.size(), kNamed);
    const size_t count = busy.size();
    busy.resize(count - more);
    comparison.notes.push_back(fmt::format(
        "{} of {} run{} was measured while other work had the cores up to {:.0f} % of the time: it "
        "is too low ({}{})",
        name, count, count == 1 ? "" : "s", 100 * most, fmt::join(busy, ", "),
        more > 0 ? fmt::format(", {} more", more) : ""));
  }
  if (hosts.size() > 1) {
    std::vector<std::string> parts;
    for (const auto& [host, count] : hosts) parts.push_back(fmt::format("{} ({})", host, count));
    comparison.notes.push_back(
        fmt::format("{} was measured on several machines: {}", name, fmt::join(parts, ", ")));
  }
}

}  // namespace xp::report
