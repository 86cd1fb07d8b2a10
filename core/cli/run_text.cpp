#include "core/cli/run_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/metric/metrics.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;
using tracker::RunInfo;

/// Letters of a UTF-8 text.
size_t letters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cut(const std::string& text, size_t width) {
  std::string line = text.substr(0, text.find('\n'));
  if (letters(line) <= width) return line;
  size_t bytes = 0, count = 0;
  while (bytes < line.size() && (count < width - 1 || (line[bytes] & 0xC0) == 0x80)) {
    if ((line[bytes] & 0xC0) != 0x80) ++count;
    ++bytes;
  }
  return line.substr(0, bytes) + "…";
}

bool numeric(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.-+einfa") == std::string::npos &&
         (std::isdigit(static_cast<unsigned char>(text.back())) != 0 || text == "nan" ||
          text.ends_with("inf"));
}

// A table that is wider than the terminal: a row is a block, a value a line.
std::string blocks(const std::vector<std::string>& columns,
                   const std::vector<std::vector<std::string>>& rows) {
  size_t name_width = 0;
  for (const std::string& column : columns) name_width = std::max(name_width, letters(column));
  std::string out;
  for (const auto& row : rows) {
    out += out.empty() ? "" : "\n";
    for (size_t i = 0; i < columns.size(); ++i) {
      if (row[i].empty()) continue;
      out += columns[i] + std::string(name_width - letters(columns[i]) + 2, ' ') + row[i] + "\n";
    }
  }
  return out;
}

}  // namespace

std::filesystem::path tracker_folder(const Session& session) {
  return session.workspace() / ".exp";
}

tracker::Query open_query(const Session& session) {
  tracker::Query query(tracker_folder(session));
  for (const std::string& warning : query.warnings()) log::warn("{}", warning);
  return query;
}

std::string TextTable::text(size_t max_width, size_t line_width) const {
  std::vector<size_t> width;
  std::vector<bool> right(columns.size(), !rows.empty());
  for (const std::string& column : columns) width.push_back(letters(column));
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      line.push_back(cut(i < row.size() ? row[i] : "", max_width));
      width[i] = std::max(width[i], letters(line.back()));
      if (!line.back().empty() && !numeric(line.back())) right[i] = false;
    }
  }
  const auto print = [&](const std::vector<std::string>& line) {
    std::string out;
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string pad(width[i] - std::min(width[i], letters(line[i])), ' ');
      out += (i > 0 ? "  " : "") + (right[i] ? pad + line[i] : line[i] + pad);
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out + "\n";
  };
  size_t wide = columns.empty() ? 0 : 2 * (columns.size() - 1);
  for (const size_t one : width) wide += one;
  if (line_width > 0 && wide > line_width) return blocks(columns, cells);
  std::string out = print(columns);
  for (const auto& line : cells) out += print(line);
  return out;
}

std::string short_uid(std::string_view uid) {
  return std::string(uid.size() > 8 ? uid.substr(uid.size() - 8) : uid);
}

std::string run_count(size_t count) {
  return fmt::format("{} run{}", count, count == 1 ? "" : "s");
}

std::string short_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.6g}", value);
}

std::string age_text(int64_t time_ns) {
  if (time_ns == 0) return "";
  const double seconds = static_cast<double>(wall_ns() - time_ns) * 1e-9;
  if (seconds < 60) return fmt::format("{:.0f} s ago", std::max(0.0, seconds));
  if (seconds < 3600) return fmt::format("{:.0f} min ago", std::floor(seconds / 60));
  if (seconds < 2 * 86400) return fmt::format("{:.0f} h ago", std::floor(seconds / 3600));
  return fmt::format("{:.0f} d ago", std::floor(seconds / 86400));
}

std::string run_duration(const RunInfo& run) {
  if (run.started_ns == 0) return "";
  const bool live = run.status == tracker::Status::kRunning;
  const int64_t end = live ? wall_ns() : run.ended_ns;
  // A clock that was set back between two attempts ends a run before it began.
  const int64_t took = std::max<int64_t>(0, end - run.started_ns);
  return end == 0 ? "" : duration_text(static_cast<double>(took) * 1e-9);
}

std::string column_text(const RunInfo& run, const std::string& column) {
  if (column == "uid") return short_uid(run.uid);
  if (column == "name") return run.name;
  if (column == "status") return std::string(tracker::text(run.status));
  if (column == "age") return age_text(run.created_ns);
  if (column == "created") return utc_text(run.created_ns);
  if (column == "duration") return run_duration(run);
  if (column == "attempts") return fmt::format("{}", run.attempts);
  if (column == "host") return run.host;
  if (column == "tag" || column == "tags") return fmt::format("{}", fmt::join(run.tags, " "));
  if (column == "notes") return run.notes;
  if (column == "recipe") return run.recipe_path;
  if (column == "hash") return run.recipe_hash.substr(0, 12);
  if (column == "sweep") return short_uid(run.sweep);
  if (column == "parent") return short_uid(run.parent);
  if (column == "error") return run.error;
  if (const auto at = run.metrics.find(column); at != run.metrics.end()) {
    return short_number(at->second.last) + (at->second.reused ? "*" : "");
  }
  const auto at = run.params.find(column);
  return at == run.params.end() ? "" : tracker::to_text(at->second);
}

ordered_json number_json(double value) {
  if (std::isfinite(value)) return value;
  return short_number(value);
}

ordered_json value_json(const tracker::Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return number_json(*real);
  return ordered_json::parse(tracker::to_json(value), nullptr, false);
}

ordered_json run_json(const RunInfo& run) {
  ordered_json out = {{"uid", run.uid},
                      {"name", run.name},
                      {"status", tracker::text(run.status)},
                      {"created", utc_text(run.created_ns)},
                      {"started", run.started_ns == 0 ? "" : utc_text(run.started_ns)},
                      {"ended", run.ended_ns == 0 ? "" : utc_text(run.ended_ns)},
                      {"attempts", run.attempts},
                      {"host", run.host},
                      {"tags", run.tags},
                      {"notes", run.notes},
                      {"recipe", run.recipe_path},
                      {"hash", run.recipe_hash},
                      {"sweep", run.sweep},
                      {"parent", run.parent},
                      {"error", run.error},
                      {"where", run.where},
                      {"params", ordered_json::object()},
                      {"metrics", ordered_json::object()}};
  for (const auto& [key, value] : run.params) out["params"][key] = value_json(value);
  for (const auto& [name, m] : run.metrics) {
    out["metrics"][name] = {{"last", number_json(m.last)},
                            {"last_step", m.last_step},
                            {"min", number_json(m.min)},
                            {"min_step", m.min_step},
                            {"max", number_json(m.max)},
                            {"max_step", m.max_step},
                            {"n", m.n},
                            {"nans", m.nans},
                            {"unit", tracker::text(m.unit)},
                            {"grain", tracker::text(m.grain)},
                            {"reused", m.reused}};
  }
  return out;
}

std::string dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<std::string> headline_metrics(const std::vector<RunInfo>& runs, size_t count) {
  std::map<std::string, std::pair<int, size_t>> seen;  // name -> (grain's rank, runs)
  for (const RunInfo& run : runs) {
    for (const auto& [name, metric] : run.metrics) {
      if (metric::is_detail(name) || metric.grain == tracker::Grain::kTime) continue;
      const int rank = metric.grain == tracker::Grain::kFinal   ? 0
                       : metric.grain == tracker::Grain::kEpoch ? 1
                                                                : 2;
      auto& entry = seen.try_emplace(name, rank, 0).first->second;
      ++entry.second;
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, entry] : seen) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    const auto& left = seen.at(a);
    const auto& right = seen.at(b);
    if (left.first != right.first) return left.first < right.first;
    if (left.second != right.second) return left.second > right.second;
    return metric::rank_of(a) < metric::rank_of(b);
  });
  if (names.size() > count) names.resize(count);
  return names;
}

}  // namespace xp::cli
