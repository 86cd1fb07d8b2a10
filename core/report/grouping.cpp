#include "core/report/grouping.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

namespace xp::report {
namespace {

using tracker::RunInfo;
using tracker::Value;
using Values = std::vector<std::optional<Value>>;

constexpr std::string_view kSeed = "experiment.seed";

std::string text_of(const std::optional<Value>& value) {
  return value ? tracker::to_text(*value) : "-";
}

// The key that a stage pins: "tome.r" of "stages.eval.with.tome.r"; "" for other keys.
std::string_view pinned(std::string_view key) {
  const size_t with = key.find(".with.");
  if (!key.starts_with("stages.") || with == std::string_view::npos) return "";
  return key.substr(with + 6);
}

// Absent first, then numbers by size, then texts.
bool before(const std::optional<Value>& a, const std::optional<Value>& b) {
  const auto x = number_of(a), y = number_of(b);
  if (x && y) return *x < *y;
  if (a.has_value() != b.has_value()) return !a.has_value();
  if (x.has_value() != y.has_value()) return x.has_value();
  return text_of(a) < text_of(b);
}

bool before(const Values& a, const Values& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (before(a[i], b[i])) return true;
    if (before(b[i], a[i])) return false;
  }
  return false;
}

std::string label_of(const Comparison& comparison, const Values& values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    out += fmt::format("{}{} = {}", i == 0 ? "" : ", ", comparison.keys[i], text_of(values[i]));
  }
  return out;
}

// Of the runs with equal configuration and seed all but the newest that has most to show.
std::set<size_t> repeats(const Comparison& comparison) {
  std::map<std::string, size_t> kept;
  std::set<size_t> out;
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    if (comparison.seeds[i].empty()) continue;
    std::string id = comparison.seeds[i];
    for (const std::string& key : comparison.keys)
      id += '\n' + text_of(value_of_key(comparison.runs[i], key));
    const auto [at, fresh] = kept.try_emplace(id, i);
    if (fresh) continue;
    const RunInfo &old = comparison.runs[at->second], &other = comparison.runs[i];
    const bool old_done = old.status == tracker::Status::kDone;
    const bool other_done = other.status == tracker::Status::kDone;
    const bool newer = old_done != other_done ? other_done : other.uid > old.uid;
    out.insert(newer ? at->second : i);
    if (newer) at->second = i;
  }
  return out;
}

std::string_view section_of(std::string_view key) { return key.substr(0, key.find('.')); }

bool everywhere(const std::string& key, const std::vector<RunInfo>& runs) {
  return std::all_of(runs.begin(), runs.end(),
                     [&](const RunInfo& run) { return value_of_key(run, key).has_value(); });
}

// One value of `key`, or its absence, for each value of `other`.
bool follows(const std::string& key, const std::string& other, const std::vector<RunInfo>& runs) {
  std::map<std::string, std::string> values;
  return std::all_of(runs.begin(), runs.end(), [&](const RunInfo& run) {
    const std::string value = text_of(value_of_key(run, key));
    return values.try_emplace(text_of(value_of_key(run, other)), value).first->second == value;
  });
}

// `keys` without those that only some values of another one of their section bring along:
// sampler.count_offset says nothing beside sampler.kind. What a stage pins stays.
std::vector<std::string> telling_keys(const std::vector<std::string>& keys,
                                      const std::vector<RunInfo>& runs) {
  std::set<std::string> common;
  std::copy_if(keys.begin(), keys.end(), std::inserter(common, common.end()),
               [&](const std::string& key) { return everywhere(key, runs); });
  std::vector<std::string> out;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(out), [&](const std::string& key) {
    if (common.contains(key) || key.starts_with("stages.")) return true;
    return std::none_of(common.begin(), common.end(), [&](const std::string& other) {
      return section_of(other) == section_of(key) && follows(key, other, runs);
    });
  });
  return out;
}

template <class T>
void erase_at(std::vector<T>& from, const std::set<size_t>& places) {
  size_t next = 0;
  std::erase_if(from, [&](const T&) { return places.count(next++) != 0; });
}

}  // namespace

bool is_label(std::string_view key) {
  if (const std::string_view inner = pinned(key); !inner.empty()) key = inner;
  constexpr std::array<std::string_view, 5> kLabels = {"experiment.name", "experiment.tags",
                                                       "experiment.notes", "experiment.goals",
                                                       "experiment.require_clean"};
  return std::find(kLabels.begin(), kLabels.end(), key) != kLabels.end();
}

std::optional<Value> value_of_key(const RunInfo& run, const std::string& key) {
  auto at = run.params.find(key);
  if (at == run.params.end()) {
    const std::string_view inner = pinned(key);
    if (!inner.empty()) at = run.params.find(inner);
  }
  return at == run.params.end() ? std::nullopt : std::optional(at->second);
}

std::optional<double> value_of_metric(const RunInfo& run, std::string_view metric) {
  const auto at = run.metrics.find(metric);
  return at == run.metrics.end() || at->second.n == 0 ? std::nullopt
                                                      : std::optional(at->second.last);
}

std::vector<std::string> differing_keys(const std::vector<RunInfo>& runs) {
  std::set<std::string> all;
  for (const RunInfo& run : runs) {
    for (const auto& [key, value] : run.params) all.insert(key);
  }
  std::vector<std::string> out;
  for (const std::string& key : all) {
    if (is_label(key) || key == kSeed || pinned(key) == kSeed) continue;
    const auto first = value_of_key(runs.front(), key);
    const bool differs = std::any_of(runs.begin(), runs.end(), [&](const RunInfo& run) {
      return value_of_key(run, key) != first;
    });
    if (differs) out.push_back(key);
  }
  return out;
}

void make_groups(Comparison& comparison, bool named) {
  comparison.keys = telling_keys(differing_keys(comparison.runs), comparison.runs);
  const std::set<size_t> older = repeats(comparison);
  // Two named runs of one configuration and seed are to be held against each other.
  const bool apart = named && comparison.keys.empty() && !older.empty();
  if (!apart && !older.empty()) {
    comparison.notes.push_back(
        fmt::format("{} older run{} of a configuration and seed that ran again {} left out",
                    older.size(), older.size() == 1 ? "" : "s", older.size() == 1 ? "is" : "are"));
    erase_at(comparison.runs, older);
    erase_at(comparison.seeds, older);
  }
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    Values values;
    for (const std::string& key : comparison.keys)
      values.push_back(value_of_key(comparison.runs[i], key));
    std::string label = label_of(comparison, values);
    const auto [at, fresh] =
        places.try_emplace(apart ? comparison.runs[i].uid : label, comparison.groups.size());
    if (fresh) comparison.groups.push_back({std::move(values), {}, {}, {}, std::move(label)});
    comparison.groups[at->second].runs.push_back(i);
  }
  for (Group& group : comparison.groups) {
    std::stable_sort(group.runs.begin(), group.runs.end(), [&](size_t a, size_t b) {
      const std::string &x = comparison.seeds[a], &y = comparison.seeds[b];
      return x.size() != y.size() ? x.size() < y.size() : x < y;  // by size, as numbers
    });
    if (group.label.empty())
      group.label = apart ? comparison.runs[group.runs.front()].uid.substr(18)
                          : comparison.runs[group.runs.front()].name;
  }
  if (!named) {
    std::stable_sort(comparison.groups.begin(), comparison.groups.end(),
                     [](const Group& a, const Group& b) { return before(a.values, b.values); });
  }
}

}  // namespace xp::report
