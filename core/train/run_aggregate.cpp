#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/stage.h"
#include "core/metric/interval.h"
#include "core/schema/stage_options.h"
#include "core/train/evaluation.h"
#include "core/train/run.h"
#include "core/train/session.h"
#include "tracker/run_sink.h"

namespace xp::train {
namespace {

bool ends_with(const std::string& text, const char* end) { return text.ends_with(end); }

/// Mean and deviation of each metric that every input has.
std::map<std::string, double> means(const std::vector<std::map<std::string, double>>& all) {
  std::map<std::string, double> result;
  for (const auto& [leaf, first] : all.front()) {
    if (ends_with(leaf, "_lo") || ends_with(leaf, "_hi") || ends_with(leaf, "_std")) continue;
    std::vector<double> values;
    for (const auto& metrics : all)
      if (const auto found = metrics.find(leaf); found != metrics.end())
        values.push_back(found->second);
    if (values.size() != all.size()) continue;
    const metric::MeanDeviation summary = metric::mean_deviation(values);
    result[leaf] = summary.mean;
    result[leaf + "_std"] = summary.deviation;
  }
  return result;
}

/// AST's choice: the epoch whose mean over the folds is best. The validation curves are those that
/// evaluate stages carry on from their checkpoints (curves.json).
std::string best_mean_epoch(const std::vector<const graph::StageInput*>& inputs,
                            std::map<std::string, double>& metrics) {
  std::string line;
  for (const char* leaf : {"acc", "mAP"}) {
    std::vector<std::vector<double>> curves;
    for (const graph::StageInput* input : inputs) {
      const auto file = input->path / "curves.json";
      if (!std::filesystem::exists(file)) continue;
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
  std::vector<std::map<std::string, double>> all;
  std::string table = "stage,metric,value\n";
  for (const graph::StageInput* input : inputs) {
    throw_if_stopped(context);
    all.push_back(read_metrics(input->path));
    for (const auto& [leaf, value] : all.back())
      table += fmt::format("{},{},{}\n", input->stage, leaf, value);
  }
  Evaluation evaluation;
  evaluation.metrics = means(all);
  // One step of a training, which is what --check makes, has no epoch to choose.
  if (options.also == "best_mean_epoch" && context.depth != graph::Depth::kCheck)
    context.say("chosen on the test folds, as AST reports it, never the result: best mean epoch " +
                best_mean_epoch(inputs, evaluation.metrics));
  for (const auto& [leaf, value] : evaluation.metrics)
    context.sink->summary(leaf, value, metric_unit(leaf));
  write_file_atomic(context.output / "inputs.csv", table);
  context.sink->artifact(tracker::Kind::kTable, context.output / "inputs.csv", -1);
  write_metrics(context.output, evaluation);
}

}  // namespace xp::train
