#include "core/report/lines.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace xp::report {
namespace {

constexpr size_t kLeastValues = 3, kMostLines = 4;

// What a group has beside `key`; keys that it lacks are not named.
std::string rest_of(const Comparison& comparison, const Group& group, size_t key) {
  std::string out;
  for (size_t k = 0; k < comparison.keys.size(); ++k) {
    if (k == key || !group.values[k]) continue;
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", comparison.keys[k],
                       tracker::to_text(*group.values[k]));
  }
  return out;
}

std::set<double> numbers_of(const Comparison& comparison, size_t key) {
  std::set<double> out;
  for (const Group& group : comparison.groups) {
    if (const auto value = number_of(group.values[key])) out.insert(*value);
  }
  return out;
}

}  // namespace

std::vector<Line> lines_over(const Comparison& comparison, size_t key) {
  std::vector<Line> out;
  std::map<std::string, size_t> places;
  const auto value = [&](size_t g) { return *number_of(comparison.groups[g].values[key]); };
  for (size_t g = 0; g < comparison.groups.size(); ++g) {
    if (!number_of(comparison.groups[g].values[key])) continue;
    const std::string rest = rest_of(comparison, comparison.groups[g], key);
    const auto [at, fresh] = places.try_emplace(rest, out.size());
    if (fresh) out.push_back({rest, {}});
    out[at->second].groups.push_back(g);
  }
  for (Line& line : out)
    std::stable_sort(line.groups.begin(), line.groups.end(),
                     [&](size_t a, size_t b) { return value(a) < value(b); });
  return out;
}

std::optional<Crossing> crossing_of(const Comparison& comparison) {
  if (comparison.keys.size() < 2) return std::nullopt;
  size_t key = 0, most = 0;
  for (size_t k = 0; k < comparison.keys.size(); ++k) {
    const size_t values = numbers_of(comparison, k).size();
    if (values > most) {
      most = values;
      key = k;
    }
  }
  if (most < kLeastValues) return std::nullopt;
  Crossing out{key, lines_over(comparison, key)};
  const bool full = std::all_of(out.lines.begin(), out.lines.end(),
                                [&](const Line& line) { return line.groups.size() * 2 >= most; });
  if (!full || out.lines.size() < 2 || out.lines.size() > kMostLines) return std::nullopt;
  return out;
}

}  // namespace xp::report
