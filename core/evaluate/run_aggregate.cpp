#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/paired_clips.h"
#include "core/evaluate/run.h"
#include "core/graph/stage.h"
#include "core/metric/interval.h"
#include "core/metric/metrics.h"
#include "core/metric/student.h"
#include "core/schema/stage_options.h"
#include "tracker/run_sink.h"

namespace xp::evaluate {
namespace fs = std::filesystem;
namespace {

using Metrics = std::map<std::string, double>;

/// Bounds and deviations are of their own clips: a mean of them says nothing.
bool averages(const std::string& leaf) {
  return !leaf.ends_with("_lo") && !leaf.ends_with("_hi") && !leaf.ends_with("_std");
}

/// `leaf` of every input; empty where one has none.
std::vector<double> values_of(const std::vector<Metrics>& all, const std::string& leaf) {
  std::vector<double> values;
  for (const Metrics& metrics : all)
    if (const auto found = metrics.find(leaf); found != metrics.end())
      values.push_back(found->second);
  if (values.size() != all.size()) values.clear();
  return values;
}

/// Mean and 95 % interval of it (Student's t); one value has no interval.
void add_mean(Metrics& result, const std::string& leaf, const std::vector<double>& values) {
  result[leaf] = metric::mean_deviation(values).mean;
  if (values.size() < 2) return;
  const metric::Interval interval = metric::mean_interval(values);
  result[leaf + "_lo"] = interval.low;
  result[leaf + "_hi"] = interval.high;
}

/// Mean, its interval and deviation of each metric that every input has.
Metrics means(const std::vector<Metrics>& all) {
  Metrics result;
  for (const auto& [leaf, first] : all.front()) {
    if (!averages(leaf)) continue;
    const std::vector<double> values = values_of(all, leaf);
    if (values.empty()) continue;
    add_mean(result, leaf, values);
    if (values.size() > 1) result[leaf + "_std"] = metric::mean_deviation(values).deviation;
  }
  return result;
}

/// What each input has more than its counterpart, as METRIC_difference: mean and interval of the
/// paired differences.
void add_differences(Metrics& result, const std::vector<Metrics>& all,
                     const std::vector<Metrics>& against) {
  for (const auto& [leaf, first] : all.front()) {
    if (!averages(leaf)) continue;
    std::vector<double> values = values_of(all, leaf);
    const std::vector<double> others = values_of(against, leaf);
    if (values.empty() || others.empty()) continue;
    for (size_t i = 0; i < values.size(); ++i) values[i] -= others[i];
    add_mean(result, leaf + "_difference", values);
  }
}

/// One input has no spread, but its clips have: METRIC_difference gets an interval over them, where
/// both sides left predictions of the same clips.
void add_paired_clips(Metrics& result, const graph::StageInput& input,
                      const graph::StageInput& other, graph::StageContext& context) {
  const auto ours = input.path / "predictions.h5", theirs = other.path / "predictions.h5";
  std::string why = "eval.save_predictions is off";
  if (fs::exists(ours) && fs::exists(theirs)) {
    const ScoreFile here = read_scores(ours), there = read_scores(theirs);
    why = why_not_paired(here, there);
    if (why.empty()) {
      const auto check = [&context] { graph::throw_if_stopped(context); };
      std::set<std::string> leaves;
      for (const metric::Metric& line : metric::table())
        if (result.contains(fmt::format("{}_difference", line.name))) leaves.emplace(line.name);
      result.merge(paired_clips(here, there, leaves, check));
      return;
    }
  }
  context.say(fmt::format("the difference of {} and {} has no interval: {}", input.stage,
                          other.stage, why));
}

/// The metrics of each stage, and a line of `table` for each.
std::vector<Metrics> read_all(const std::vector<const graph::StageInput*>& inputs,
                              const graph::StageContext& context, std::string& table) {
  std::vector<Metrics> all;
  for (const graph::StageInput* input : inputs) {
    graph::throw_if_stopped(context);
    all.push_back(read_metrics(input->path));
    for (const auto& [leaf, value] : all.back())
      table += fmt::format("{},{},{}\n", input->stage, leaf, value);
  }
  return all;
}

/// AST's choice: the epoch whose mean over the folds is best. The validation curves are those that
/// evaluate stages carry on from their checkpoints (curves.json).
std::string best_mean_epoch(const std::vector<const graph::StageInput*>& inputs,
                            std::map<std::string, double>& metrics) {
  std::string line;
  for (const metric::Metric& known : metric::table()) {
    if ((known.of & metric::Of::kMeanEpoch) == 0) continue;
    const std::string leaf(known.name);
    std::vector<std::vector<double>> curves;
    for (const graph::StageInput* input : inputs) {
      const auto file = input->path / "curves.json";
      if (!fs::exists(file)) continue;
      const auto object = nlohmann::json::parse(read_file(file));
      if (object.contains(leaf)) curves.push_back(object.at(leaf).get<std::vector<double>>());
    }
    if (curves.size() != inputs.size()) continue;
    const metric::BestMeanEpoch best = metric::best_mean_epoch(curves);
    if (best.epoch == 0) continue;
    metrics[fmt::format("best_mean_epoch/{}", leaf)] = best.mean;
    metrics[fmt::format("best_mean_epoch/{}_epoch", leaf)] = static_cast<double>(best.epoch);
    line += fmt::format("{} {:.4f} at epoch {}; ", leaf, best.mean, best.epoch);
  }
  if (line.empty())
    throw Error("also = \"best_mean_epoch\": the inputs' trainings validated nothing", Exit::kData);
  return line;
}

}  // namespace

void run_aggregate(const schema::AggregateOptions& options, graph::StageContext& context) {
  const std::vector<const graph::StageInput*> inputs = context.inputs_of("inputs");
  if (inputs.empty()) throw Error("aggregate without inputs");
  std::string table = "stage,metric,value\n";
  const std::vector<Metrics> all = read_all(inputs, context, table);
  Evaluation evaluation;
  evaluation.metrics = means(all);
  const std::vector<const graph::StageInput*> counterparts = context.inputs_of("against");
  if (!counterparts.empty()) {
    XP_CHECK(counterparts.size() == inputs.size(), "the recipe's check pairs inputs with against");
    add_differences(evaluation.metrics, all, read_all(counterparts, context, table));
    if (inputs.size() == 1)
      add_paired_clips(evaluation.metrics, *inputs.front(), *counterparts.front(), context);
  }
  // One step of a training, which is what --check makes, has no epoch to choose.
  if (options.also == "best_mean_epoch" && context.depth != graph::Depth::kCheck)
    context.say("chosen on the test folds, as AST reports it, never the result: best mean epoch " +
                best_mean_epoch(inputs, evaluation.metrics));
  for (const auto& [leaf, value] : evaluation.metrics)
    context.sink->summary(leaf, value, metric::unit_of(leaf));
  write_file_atomic(context.output / "inputs.csv", table);
  context.sink->artifact(tracker::Kind::kTable, context.output / "inputs.csv", -1);
  write_metrics(context.output, evaluation);
}

}  // namespace xp::evaluate
