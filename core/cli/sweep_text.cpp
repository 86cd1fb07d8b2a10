#include "core/cli/sweep_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/cli/run_text.h"
#include "sweeps/drive.h"
#include "sweeps/pareto.h"
#include "sweeps/propose.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;
using sweeps::Trial;
using sweeps::TrialState;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Points on the Pareto front (or the best one), by their first trial.
std::vector<const Trial*> best_trials(const sweeps::SweepSpec& spec,
                                      const std::vector<Trial>& trials) {
  const std::vector<sweeps::Observation> all = sweeps::observations(trials, spec.objectives);
  std::vector<sweeps::Losses> losses;
  std::vector<int64_t> points;
  for (const sweeps::Observation& observation : all) {
    if (observation.losses.empty()) continue;
    losses.push_back(observation.losses);
    points.push_back(observation.point);
  }
  std::vector<const Trial*> out;
  if (losses.empty()) return out;
  const std::vector<size_t> layers = sweeps::pareto_layers(losses);
  for (size_t i = 0; i < points.size(); ++i) {
    if (layers[i] != 0) continue;
    const auto trial = std::find_if(trials.begin(), trials.end(),
                                    [&](const Trial& t) { return t.point == points[i]; });
    out.push_back(&*trial);
  }
  return out;
}

double mean_of(const sweeps::SweepSpec& spec, const std::vector<Trial>& trials, int64_t point,
               size_t objective) {
  for (const sweeps::Observation& observation : sweeps::observations(trials, spec.objectives)) {
    if (observation.point == point && !observation.losses.empty())
      return spec.objectives[objective].loss(observation.losses[objective]);
  }
  return std::nan("");
}

std::string objectives_text(const sweeps::SweepSpec& spec, const std::vector<Trial>& trials,
                            const Trial& trial) {
  std::string out;
  for (size_t k = 0; k < spec.objectives.size(); ++k)
    out += fmt::format("{}{} {:.4g}", out.empty() ? "" : ", ", spec.objectives[k].metric,
                       mean_of(spec, trials, trial.point, k));
  return out;
}

}  // namespace

std::string counts_text(const sweeps::Counts& counts) {
  std::vector<std::string> parts;
  const auto add = [&parts](int64_t n, const char* what) {
    if (n > 0) parts.push_back(fmt::format("{} {}", n, what));
  };
  add(counts.done, "done");
  add(counts.running, "running");
  add(counts.queued, "queued");
  add(counts.stopped, "stopped early");
  add(counts.failed, "failed");
  add(counts.lost, "lost");
  return fmt::format("{} trial{}{}{}", counts.all(), counts.all() == 1 ? "" : "s",
                     parts.empty() ? "" : ": ", fmt::join(parts, ", "));
}

std::string trials_table(const sweeps::SweepSpec& spec, const std::vector<Trial>& trials,
                         const std::vector<std::string>& states) {
  TextTable table;
  table.columns = {"trial"};
  for (const auto& [key, text] : spec.params) table.columns.push_back(key);
  if (spec.seeds > 1) table.columns.emplace_back("seed");
  table.columns.emplace_back("state");
  for (const sweeps::Objective& objective : spec.objectives)
    table.columns.push_back(objective.metric);
  table.columns.emplace_back("run");
  for (size_t i = 0; i < trials.size(); ++i) {
    const Trial& trial = trials[i];
    std::vector<std::string> row = {trial.number > 0 ? std::to_string(trial.number) : "new"};
    for (const auto& [key, spec_text] : spec.params) {
      const auto value = std::find_if(trial.values.begin(), trial.values.end(),
                                      [&k = key](const auto& pair) { return pair.first == k; });
      row.push_back(value == trial.values.end() ? "" : value->second);
    }
    if (spec.seeds > 1) row.push_back(std::to_string(trial.seed));
    row.push_back(i < states.size() ? states[i] : std::string(sweeps::text(trial.state)));
    for (const sweeps::Objective& objective : spec.objectives) {
      const auto value = trial.metrics.find(objective.metric);
      row.push_back(value == trial.metrics.end() ? "" : short_number(value->second));
    }
    row.push_back(trial.run.empty() ? "" : short_uid(trial.run));
    table.rows.push_back(std::move(row));
  }
  return table.text();
}

std::string sweep_summary(const sweeps::SweepSpec& spec, const std::vector<Trial>& trials,
                          bool on_test) {
  std::string out;
  const std::string mark = on_test ? " (selected on test)" : "";
  const std::vector<const Trial*> best = best_trials(spec, trials);
  if (spec.objectives.size() == 1 && !best.empty()) {
    out += fmt::format("best{}: {}: {}\n", mark, sweeps::trial_text(*best.front(), false),
                       objectives_text(spec, trials, *best.front()));
  } else if (!best.empty() && !spec.objectives.empty()) {
    out += fmt::format("Pareto front{}:\n", mark);
    for (const Trial* trial : best)
      out += fmt::format("  {}: {}\n", sweeps::trial_text(*trial, false),
                         objectives_text(spec, trials, *trial));
  }
  for (const Trial& trial : trials) {
    if (trial.state != TrialState::kFailed && trial.state != TrialState::kLost) continue;
    out += fmt::format("trial {} ({}) {}: {}\n", trial.number,
                       sweeps::trial_text(trial, spec.seeds > 1), sweeps::text(trial.state),
                       first_line(trial.error));
  }
  return out;
}

std::string sweep_json(const sweeps::SweepSpec& spec, const std::vector<Trial>& trials,
                       const std::string& halted, bool on_test) {
  ordered_json out = {{"id", spec.id},         {"name", spec.name},
                      {"recipe", spec.recipe}, {"strategy", spec.strategy},
                      {"seeds", spec.seeds},   {"halted", halted}};
  ordered_json params = ordered_json::object();
  for (const auto& [key, text] : spec.params) params[key] = text;
  out["params"] = params;
  ordered_json objectives = ordered_json::array();
  for (const sweeps::Objective& objective : spec.objectives)
    objectives.push_back(sweeps::objective_text(objective));
  out["objectives"] = objectives;
  out["selected_on_test"] = on_test;
  ordered_json rows = ordered_json::array();
  for (const Trial& trial : trials) {
    ordered_json values = ordered_json::object(), metrics = ordered_json::object();
    for (const auto& [key, text] : trial.values) values[key] = text;
    for (const auto& [name, value] : trial.metrics) metrics[name] = number_json(value);
    rows.push_back({{"number", trial.number},
                    {"point", trial.point},
                    {"seed", trial.seed},
                    {"values", values},
                    {"state", sweeps::text(trial.state)},
                    {"tries", trial.tries},
                    {"run", trial.run},
                    {"doing", trial.doing},
                    {"error", trial.error},
                    {"seconds", trial.seconds},
                    {"host", trial.process.host},
                    {"job", trial.job},
                    {"metrics", metrics}});
  }
  out["trials"] = rows;
  ordered_json front = ordered_json::array();
  for (const Trial* trial : best_trials(spec, trials)) {
    if (!spec.objectives.empty()) front.push_back(trial->number);
  }
  out["best"] = front;
  return dump(out) + "\n";
}

}  // namespace xp::cli
