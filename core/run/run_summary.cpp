#include "core/run/run_summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/metric/metrics.h"

namespace xp::run {
namespace {

using graph::Execution;
using graph::Node;
using graph::NodeResult;
using graph::Plan;
using graph::Result;
using Metrics = std::map<std::string, double>;

std::string number(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  return fmt::format("{:.4g}", value);
}

/// "0.8625 [0.7703, 0.9215]", "0.886 ± 0.015".
std::string value_text(const Metrics& metrics, const std::string& name) {
  std::string out = number(metrics.at(name));
  const auto low = metrics.find(name + "_lo"), high = metrics.find(name + "_hi");
  const auto deviation = metrics.find(name + "_std");
  if (low != metrics.end() && high != metrics.end()) {
    out += fmt::format(" [{}, {}]", number(low->second), number(high->second));
  } else if (deviation != metrics.end()) {
    out += fmt::format(" ± {}", number(deviation->second));
  }
  return out;
}

/// What the table shows, the first first; the rest is in `exp show`.
std::vector<std::string> shown_names() {
  std::vector<std::string> out;
  for (const metric::Metric& line : metric::table())
    if ((line.shown & metric::Shown::kAtEnd) != 0) out.emplace_back(line.name);
  std::stable_sort(out.begin(), out.end(), [](const std::string& a, const std::string& b) {
    return metric::rank_of(a) < metric::rank_of(b);
  });
  return out;
}

const Metrics* baseline_of(const Plan& plan, const Execution& done) {
  for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    if (plan.graph.nodes[i].kind == "baseline" && done.nodes[i].manifest)
      return &done.nodes[i].manifest->metrics;
  }
  return nullptr;
}

std::string metrics_text(const Node& node, const NodeResult& result, const Metrics* baseline) {
  if (!result.manifest) return "";
  const Metrics& metrics = result.manifest->metrics;
  static const std::vector<std::string> names = shown_names();
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    if (metrics.count(name) == 0) continue;
    std::string part = fmt::format("{} {}", name, value_text(metrics, name));
    const std::string difference = fmt::format("{}_difference", name);
    const bool compared = node.kind == "evaluate" || node.kind == "aggregate";
    if (metrics.count(difference) != 0) {
      part += fmt::format(" (difference {})", value_text(metrics, difference));
    } else if (compared && baseline != nullptr && baseline->count(name) != 0) {
      part += fmt::format(" (baseline {})", number(baseline->at(name)));
    }
    parts.push_back(std::move(part));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

const char* result_text(Result result) {
  switch (result) {
    case Result::kNotNeeded:
      return "not needed";
    case Result::kCached:
      return "cached";
    case Result::kMade:
      return "done";
    case Result::kFailed:
      return "failed";
    case Result::kStopped:
      return "stopped";
    case Result::kNotStarted:
      return "not started";
  }
  return "";
}

// Columns count characters, not bytes: "±" is two bytes.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - width(row[i]) + 2, ' ');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace

std::string summary_text(const Plan& plan, const Execution& done, const std::string& run) {
  const Metrics* baseline = baseline_of(plan, done);
  std::vector<std::vector<std::string>> rows = {{"stage", "result", "time", "metrics"}};
  for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    const Node& node = plan.graph.nodes[i];
    const NodeResult& result = done.nodes[i];
    if (result.result == Result::kNotNeeded) continue;
    const bool worked = result.seconds > 0;
    rows.push_back({node.name, result_text(result.result),
                    worked ? duration_text(result.seconds) : "-",
                    metrics_text(node, result, baseline)});
  }
  std::string out = table(rows);
  if (done.code() != Exit::kOk && !run.empty())
    out += "what is done is kept; the same command goes on from here\n";
  if (!run.empty()) out += fmt::format("look further: exp show {0}, or exp report {0}\n", run);
  return out;
}

std::string summary_json(const Plan& plan, const Execution& done, const std::string& run) {
  nlohmann::ordered_json stages = nlohmann::ordered_json::array();
  for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    const Node& node = plan.graph.nodes[i];
    const NodeResult& result = done.nodes[i];
    stages.push_back({{"name", node.name},
                      {"kind", node.kind},
                      {"result", result_text(result.result)},
                      {"seconds", result.seconds},
                      {"key", node.key},
                      {"metrics", result.manifest ? result.manifest->metrics : Metrics{}},
                      {"error", result.error}});
  }
  const nlohmann::ordered_json out = {
      {"run", run}, {"code", static_cast<int>(done.code())}, {"stages", stages}};
  return out.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace xp::run
