#include "tracker/compare.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>

namespace xp::tracker {
namespace {

bool equal(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

}  // namespace

bool depends_on_the_machine(std::string_view metric) {
  constexpr std::array<std::string_view, 6> kLeaves = {
      "latency_p50_ms", "latency_p95_ms", "peak_mem_mb", "stall_p", "cpu_wait_p", "seconds"};
  if (metric.starts_with("system.")) return true;
  const std::string_view leaf = metric.substr(metric.rfind('.') + 1);
  return leaf.ends_with("_s") || std::find(kLeaves.begin(), kLeaves.end(), leaf) != kLeaves.end();
}

std::vector<MetricMatch> compare_metrics(Query& a, std::string_view uid_a, Query& b,
                                         std::string_view uid_b) {
  std::set<std::string> names;
  for (const auto& [name, ranks] : a.metric_names(uid_a)) names.insert(name);
  for (const auto& [name, ranks] : b.metric_names(uid_b)) names.insert(name);
  std::vector<MetricMatch> out;
  for (const std::string& name : names) {
    if (depends_on_the_machine(name)) continue;
    std::map<int64_t, double> left;
    for (const Point& point : a.curve(uid_a, name).points) left[point.step] = point.value;
    MetricMatch match;
    match.name = name;
    for (const Point& point : b.curve(uid_b, name).points) {
      const auto at = left.find(point.step);
      if (at == left.end()) {
        ++match.only_b;
        continue;
      }
      ++match.points;
      if (!equal(at->second, point.value)) {
        ++match.different;
        match.largest = std::max(match.largest, std::abs(at->second - point.value));
      }
      left.erase(at);
    }
    match.only_a = left.size();
    out.push_back(std::move(match));
  }
  return out;
}

}  // namespace xp::tracker
