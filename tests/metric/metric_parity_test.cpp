#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "core/metric/metric.h"
#include "tests/testing/fixtures.h"

namespace xp::metric {
namespace {

std::vector<double> column(const std::vector<ClassScore>& classes, double ClassScore::*member) {
  std::vector<double> values;
  for (const ClassScore& score : classes) values.push_back(score.*member);
  return values;
}

void compare_curves(const testing::Case& expected, testing::Report& report,
                    const std::vector<float>& score, const std::vector<float>& target, int64_t rows,
                    int64_t classes) {
  const auto k = expected.json.at("curve_class").get<int64_t>();
  const Ranking ranking(std::span<const float>(score).subspan(static_cast<size_t>(k)),
                        std::span<const float>(target).subspan(static_cast<size_t>(k)), rows,
                        classes);
  const Ranking::PrecisionRecall curve = ranking.precision_recall();
  report.compare("output/curve_precision", curve.precision);
  report.compare("output/curve_recall", curve.recall);
  report.compare("output/curve_pr_threshold", curve.threshold);
  const Ranking::Roc roc = ranking.roc();
  report.compare("output/curve_fpr", roc.fpr);
  report.compare("output/curve_tpr", roc.tpr);

  // AST prints the middle of the curve taken every 1000th point.
  std::vector<double> precision;
  std::vector<double> recall;
  for (int64_t c = 0; c < classes; ++c) {
    const auto offset = static_cast<size_t>(c);
    const Ranking one(std::span<const float>(score).subspan(offset),
                      std::span<const float>(target).subspan(offset), rows, classes);
    const Ranking::PrecisionRecall points = one.precision_recall();
    const size_t middle = (points.precision.size() + 999) / 1000 / 2 * 1000;
    precision.push_back(points.precision[middle]);
    recall.push_back(points.recall[middle]);
  }
  report.compare("output/middle_precision", precision);
  report.compare("output/middle_recall", recall);
}

void compare_multilabel(const testing::Case& expected, testing::Report& report) {
  const std::vector<float> score = expected.at("input/score").floats();
  const std::vector<float> target = expected.at("input/target").floats();
  const int64_t rows = expected.at("input/score").shape.at(0);
  const int64_t classes = expected.at("input/score").shape.at(1);
  std::vector<float> mask;
  if (expected.has("input/mask")) mask = expected.at("input/mask").floats();
  const Table table{score, target, mask, rows, classes};
  const std::vector<ClassScore> each = per_class(table);
  const Summary summary = summarise(each);
  report.compare("output/ap_per_class", column(each, &ClassScore::ap));
  report.compare("output/auc_per_class", column(each, &ClassScore::auc));
  const auto scalar = [&](const char* name, double value) {
    report.compare(name, std::vector<double>{value});
  };
  if (!mask.empty()) {
    scalar("output/map", summary.map_all);
    scalar("output/auc_macro", summary.auc_all);
    return;
  }
  std::vector<double> d_primes;
  for (const ClassScore& c : each) d_primes.push_back(d_prime(c.auc));
  report.compare("output/d_prime_per_class", d_primes);
  scalar("output/map_all", summary.map_all);
  scalar("output/map_valid", summary.map);
  scalar("output/auc_macro_all", summary.auc_all);
  scalar("output/auc_macro_valid", summary.auc);
  scalar("output/d_prime_of_mean_auc", summary.d_prime);
  scalar("output/accuracy", accuracy(table));
  compare_curves(expected, report, score, target, rows, classes);
}

void compare_confusion(const testing::Case& expected, testing::Report& report) {
  const std::vector<float> logits = expected.at("input/logits").floats();
  const std::vector<int64_t>& truth = expected.at("input/target").i64;
  const auto classes = static_cast<size_t>(expected.at("input/logits").shape.at(1));
  std::vector<int64_t> predicted;
  for (size_t row = 0; row < truth.size(); ++row)
    predicted.push_back(argmax(std::span<const float>(logits).subspan(row * classes, classes)));
  const Confusion counts = confusion(truth, predicted, static_cast<int64_t>(classes));
  const ConfusionScores derived = scores(counts);
  report.compare("output/confusion", counts.counts);
  report.compare("output/accuracy", std::vector<double>{derived.accuracy});
  report.compare("output/recall_per_class", derived.recall);
  report.compare("output/precision_per_class", derived.precision);
  report.compare("output/f1_per_class", derived.f1);
  report.compare("output/f1_macro", std::vector<double>{derived.f1_macro});
}

TEST(MetricParity, Fixtures) {
  testing::expect_parity({"metrics"},
                         {{"metrics", [](const testing::Case& expected, testing::Report& report) {
                             if (expected.has("output/confusion"))
                               compare_confusion(expected, report);
                             else
                               compare_multilabel(expected, report);
                           }}});
}

}  // namespace
}  // namespace xp::metric
