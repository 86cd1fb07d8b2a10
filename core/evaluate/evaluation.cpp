#include "core/evaluate/evaluation.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/evaluate/score_file.h"
#include "core/evaluate/worst.h"
#include "core/metric/interval.h"
#include "core/metric/metric.h"
#include "core/metric/scored.h"

namespace xp::evaluate {
namespace {

using nlohmann::json;
using schema::Metric;

bool asks(const schema::EvalOptions& options, std::string_view name) {
  return std::any_of(options.metrics.begin(), options.metrics.end(),
                     [&](Metric metric) { return recipe::enum_name(metric) == name; });
}

bool asks(const schema::EvalOptions& options, Metric metric) {
  return asks(options, recipe::enum_name(metric));
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

/// NAME_lo and NAME_hi, where the metric has them.
void add_bounds(const metric::Metric& line, const metric::Scored& scored,
                const schema::EvalOptions& options, uint64_t seed,
                std::map<std::string, double>& metrics) {
  if (line.bounds == metric::Bounds::kNone) return;
  const int64_t rows = scored.table().rows;
  metric::Interval found;
  if (options.bootstrap > 0) {
    found = metric::percentile_interval(metric::bootstrap(
        rows, options.bootstrap, seed,
        [&](std::span<const float> counts) { return line.compute(scored, counts); }));
  } else if (line.bounds == metric::Bounds::kShare) {
    const std::vector<float>& correct = scored.correct();
    found = metric::wilson(std::count(correct.begin(), correct.end(), 1.0F), rows);
  } else {
    return;
  }
  metrics[fmt::format("{}_lo", line.name)] = found.low;
  metrics[fmt::format("{}_hi", line.name)] = found.high;
}

}  // namespace

std::string why_absent(std::string_view leaf, double value) {
  if (leaf == "d_prime" && std::isinf(value))
    return fmt::format("auc is {}, where d' is infinite", value > 0 ? 1 : 0);
  return "no class of the split has both positive and negative clips";
}

Evaluation evaluate(const ScoredSplit& split, const schema::EvalOptions& options, uint64_t seed) {
  Evaluation result;
  const auto rows = static_cast<int64_t>(split.ids.size());
  const auto classes = static_cast<int64_t>(split.classes.size());
  if (rows == 0) throw Error("the split has no clips to score", Exit::kData);
  const metric::Table table{split.logits, split.targets, split.mask, rows, classes};
  const metric::Scored scored(table);
  auto& metrics = result.metrics;
  for (const metric::Metric& line : metric::table()) {
    if (line.compute == nullptr || !asks(options, line.asked)) continue;
    const std::string name(line.name);
    const double value = metrics[name] = line.compute(scored, {});
    if (!std::isfinite(value)) result.absent[name] = why_absent(name, value);
    add_bounds(line, scored, options, seed, metrics);
  }
  std::erase_if(metrics, [](const auto& entry) { return !std::isfinite(entry.second); });
  const std::vector<metric::ClassScore>& each = scored.per_class();
  for (size_t k = 0; k < each.size(); ++k)
    result.classes.push_back({split.classes[k].first, split.classes[k].second, each[k].ap,
                              each[k].auc, each[k].positives, each[k].negatives});
  if (asks(options, Metric::kConfusion)) result.confusion = metric::confusion(table).counts;
  return result;
}

void write_metrics(const std::filesystem::path& folder, const Evaluation& evaluation) {
  json classes = json::array();
  for (const Evaluation::Class& c : evaluation.classes) {
    json item{{"id", c.id},
              {"name", c.name},
              {"ap", c.ap},
              {"positives", c.positives},
              {"negatives", c.negatives}};
    item["auc"] = std::isfinite(c.auc) ? json(c.auc) : json();
    classes.push_back(std::move(item));
  }
  json object{{"metrics", evaluation.metrics}, {"classes", classes}};
  if (!evaluation.absent.empty()) object["absent"] = evaluation.absent;
  if (!evaluation.confusion.empty()) {
    const size_t width = evaluation.classes.size();
    json& matrix = object["confusion"] = json::array();
    for (size_t k = 0; k < width; ++k)
      matrix.push_back(std::vector<int64_t>(
          evaluation.confusion.begin() + static_cast<std::ptrdiff_t>(k * width),
          evaluation.confusion.begin() + static_cast<std::ptrdiff_t>((k + 1) * width)));
  }
  write_file_atomic(folder / "metrics.json", object.dump(1) + "\n");
}

std::map<std::string, double> read_metrics(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "metrics.json";
  try {
    return json::parse(read_file(file)).at("metrics").get<std::map<std::string, double>>();
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: no metrics ({})", file.string(), error.what()), Exit::kData);
  }
}

void report_evaluation(const Evaluation& evaluation, const ScoredSplit& split,
                       const schema::EvalOptions& options, const std::filesystem::path& folder,
                       tracker::RunSink& sink) {
  const auto summary = [&](const std::string& leaf, double value) {
    sink.summary(leaf, value, metric::unit_of(leaf));
  };
  for (const auto& [leaf, value] : evaluation.metrics) summary(leaf, value);
  const bool per_class = asks(options, Metric::kPerClass);
  std::string table = "index,id,name,ap,auc,positives,negatives\n";
  for (size_t k = 0; k < evaluation.classes.size(); ++k) {
    const Evaluation::Class& c = evaluation.classes[k];
    if (per_class && c.positives > 0) summary("ap/" + c.id, c.ap);
    table += fmt::format("{},{},{},{:.6f},{},{},{}\n", k, csv_text(c.id), csv_text(c.name), c.ap,
                         std::isfinite(c.auc) ? fmt::format("{:.6f}", c.auc) : "", c.positives,
                         c.negatives);
  }
  write_file_atomic(folder / "per_class.csv", table);
  sink.artifact(tracker::Kind::kTable, folder / "per_class.csv", -1);
  if (!evaluation.confusion.empty()) {
    std::string matrix = "true";
    for (const Evaluation::Class& c : evaluation.classes) matrix += "," + csv_text(c.name);
    const size_t width = evaluation.classes.size();
    for (size_t k = 0; k < width; ++k) {
      matrix += "\n" + csv_text(evaluation.classes[k].name);
      for (size_t j = 0; j < width; ++j)
        matrix += fmt::format(",{}", evaluation.confusion[k * width + j]);
    }
    write_file_atomic(folder / "confusion.csv", matrix + "\n");
    sink.artifact(tracker::Kind::kTable, folder / "confusion.csv", -1);
  }
  constexpr int64_t kWorst = 1000;
  write_worst(folder / "worst.json", worst_clips(split, kWorst));
  if (options.save_predictions) {
    ScoreFile file;
    file.ids = split.ids;
    for (const auto& [id, name] : split.classes) {
      file.class_ids.push_back(id);
      file.class_names.push_back(name);
    }
    file.width = static_cast<int64_t>(split.classes.size());
    file.values = split.logits;
    file.targets = split.targets;
    file.mask = split.mask;
    file.texts = {{"split", split.split}, {"model", split.model}};
    file.numbers = evaluation.metrics;
    write_scores(folder / "predictions.h5", file);
    sink.artifact(tracker::Kind::kPredictions, folder / "predictions.h5", -1);
  }
  write_metrics(folder, evaluation);
}

}  // namespace xp::evaluate
