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

namespace xp::evaluate {
namespace {

using nlohmann::json;
using schema::Metric;
using tracker::Unit;

bool asks(const schema::EvalOptions& options, Metric metric) {
  return std::find(options.metrics.begin(), options.metrics.end(), metric) != options.metrics.end();
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

/// Bootstrap intervals of the metrics over clips.
void add_bootstrap(const metric::RankedTable& ranked, const std::vector<float>& correct,
                   int64_t rows, int64_t resamples, uint64_t seed,
                   std::map<std::string, double>& metrics) {
  const auto interval = [&](const std::string& leaf, const metric::Statistic& statistic) {
    if (metrics.count(leaf) == 0) return;
    const metric::Interval found =
        metric::percentile_interval(metric::bootstrap(rows, resamples, seed, statistic));
    metrics[leaf + "_lo"] = found.low;
    metrics[leaf + "_hi"] = found.high;
  };
  interval("mAP", [&](std::span<const float> counts) { return ranked.map(counts); });
  interval("auc", [&](std::span<const float> counts) { return ranked.auc(counts); });
  interval("acc", metric::mean_of(correct));
}

}  // namespace

Unit metric_unit(const std::string& leaf) {
  const std::string base =
      leaf.substr(leaf.rfind('/') == std::string::npos ? 0 : leaf.rfind('/') + 1);
  const auto is = [&](const char* name) { return base.starts_with(name); };
  if (is("mAP_classes") || is("rows")) return Unit::kCount;
  if (is("mAP") || is("auc") || is("acc") || leaf.starts_with("ap/")) return Unit::kFraction;
  if (is("cpu_wait_p")) return Unit::kFraction;
  if (is("clips_per_s")) return Unit::kPerSecond;
  if (is("latency")) return Unit::kMilliseconds;
  if (is("peak_mem_mb")) return Unit::kMebibytes;
  if (is("params_m")) return Unit::kMillions;
  if (is("gflop")) return Unit::kGflop;
  return Unit::kNone;
}

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
  const metric::RankedTable ranked(table);
  const std::vector<metric::ClassScore> each = ranked.per_class();
  const metric::Summary summary = metric::summarise(each);
  auto& metrics = result.metrics;
  if (asks(options, Metric::kMap)) {
    metrics["mAP"] = summary.map;
    metrics["mAP_all"] = summary.map_all;
    metrics["mAP_classes"] = static_cast<double>(summary.map_classes);
  }
  if (asks(options, Metric::kAuc)) metrics["auc"] = summary.auc;
  if (asks(options, Metric::kDPrime)) metrics["d_prime"] = summary.d_prime;
  const std::vector<float> correct = metric::correct(table);
  if (asks(options, Metric::kAcc)) {
    metrics["acc"] = metric::accuracy(table);
    if (options.bootstrap == 0) {
      const auto hits = std::count(correct.begin(), correct.end(), 1.0F);
      const metric::Interval interval = metric::wilson(hits, rows);
      metrics["acc_lo"] = interval.low;
      metrics["acc_hi"] = interval.high;
    }
  }
  if (options.bootstrap > 0) add_bootstrap(ranked, correct, rows, options.bootstrap, seed, metrics);
  for (const char* leaf : {"mAP", "auc", "d_prime"}) {
    const auto found = metrics.find(leaf);
    if (found != metrics.end() && !std::isfinite(found->second))
      result.absent[leaf] = why_absent(leaf, found->second);
  }
  std::erase_if(metrics, [](const auto& entry) { return !std::isfinite(entry.second); });
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
  for (const auto& [leaf, value] : evaluation.metrics) sink.summary(leaf, value, metric_unit(leaf));
  const bool per_class = asks(options, Metric::kPerClass);
  std::string table = "index,id,name,ap,auc,positives,negatives\n";
  for (size_t k = 0; k < evaluation.classes.size(); ++k) {
    const Evaluation::Class& c = evaluation.classes[k];
    if (per_class && c.positives > 0) sink.summary("ap/" + c.id, c.ap, Unit::kFraction);
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
