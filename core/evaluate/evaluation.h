#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema/eval.h"
#include "tracker/run_sink.h"

/// What an evaluation reports, from plain scores: torch-free.
namespace xp::evaluate {

/// Scores of a split, row-major [N, K].
struct ScoredSplit {
  std::vector<std::string> ids;
  std::vector<std::pair<std::string, std::string>> classes;  ///< id, name
  std::vector<float> logits, targets, mask;
  std::string split;
  std::string model;  ///< what scored it
};

/// Metrics of a split, and what stands in metrics.json and per_class.csv.
struct Evaluation {
  std::map<std::string, double> metrics;  ///< leaf -> value; `_lo`, `_hi` with a bootstrap
  struct Class {
    std::string id, name;
    double ap = 0, auc = 0;
    int64_t positives = 0, negatives = 0;
  };
  /// Metrics that were asked for and cannot be -> why.
  std::map<std::string, std::string> absent;
  std::vector<Class> classes;      ///< empty unless per_class, mAP or auc was asked
  std::vector<int64_t> confusion;  ///< [K, K] row = true class; empty unless asked
};

/// The metrics of scored clips (core/metric/metrics.inc) that `options.metrics` asks for; accuracy
/// gets a 95 % Wilson interval when there is no bootstrap.
Evaluation evaluate(const ScoredSplit& split, const schema::EvalOptions& options, uint64_t seed);

/// Logs every metric as a final value of the stage, per-class APs as `ap/LABEL_ID`, and writes
/// metrics.json, per_class.csv, confusion.csv, worst.json, predictions.h5 into `folder`.
void report_evaluation(const Evaluation& evaluation, const ScoredSplit& split,
                       const schema::EvalOptions& options, const std::filesystem::path& folder,
                       tracker::RunSink& sink);

/// Why a metric of scored clips that is not finite cannot be.
std::string why_absent(std::string_view leaf, double value);

/// metrics.json of a stage: {"metrics": {...}, "classes": [...], "confusion": [[...]]}.
void write_metrics(const std::filesystem::path& folder, const Evaluation& evaluation);
std::map<std::string, double> read_metrics(const std::filesystem::path& folder);

}  // namespace xp::evaluate
