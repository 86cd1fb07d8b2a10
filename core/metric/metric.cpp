#include "core/metric/metric.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/base/error.h"

namespace xp::metric {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

void check(const Table& table) {
  const auto entries = static_cast<size_t>(table.rows * table.classes);
  XP_CHECK(table.score.size() == entries && table.target.size() == entries,
           "metric table: scores and targets must be [rows, classes]");
  XP_CHECK(table.mask.empty() || table.mask.size() == entries,
           "metric table: the mask must be [rows, classes]");
}

}  // namespace

RankedTable::RankedTable(const Table& table) : table_(table) {
  check(table);
  classes_.reserve(static_cast<size_t>(table.classes));
  for (int64_t k = 0; k < table.classes; ++k) {
    const auto offset = static_cast<size_t>(table.rows > 0 ? k : 0);
    classes_.emplace_back(table.score.subspan(offset), table.target.subspan(offset), table.rows,
                          table.classes);
  }
  for (const ClassScore& score : per_class()) valid_.push_back(score.valid());
}

/// The weight of each clip for class `k`: count times mask. Empty where all are 1.
std::vector<float> RankedTable::weights(int64_t k, std::span<const float> counts) const {
  std::vector<float> weight(counts.begin(), counts.end());
  if (table_.mask.empty()) return weight;
  if (weight.empty()) weight.assign(static_cast<size_t>(table_.rows), 1.0F);
  for (int64_t row = 0; row < table_.rows; ++row)
    weight[static_cast<size_t>(row)] *= table_.mask[static_cast<size_t>(row * table_.classes + k)];
  return weight;
}

std::vector<ClassScore> RankedTable::per_class() const {
  std::vector<ClassScore> result(classes_.size());
  for (int64_t k = 0; k < table_.classes; ++k) {
    const std::vector<float> weight = weights(k, {});
    const Ranking& ranking = classes_[static_cast<size_t>(k)];
    ClassScore& score = result[static_cast<size_t>(k)];
    for (int64_t row = 0; row < table_.rows; ++row) {
      if (!weight.empty() && weight[static_cast<size_t>(row)] == 0) continue;
      const bool positive = table_.target[static_cast<size_t>(row * table_.classes + k)] > 0.5F;
      ++(positive ? score.positives : score.negatives);
    }
    score.ap = ranking.average_precision(weight);
    score.auc = ranking.auc(weight);
  }
  return result;
}

double RankedTable::map(std::span<const float> counts) const {
  double sum = 0;
  int64_t classes = 0;
  for (int64_t k = 0; k < table_.classes; ++k) {
    if (!valid_[static_cast<size_t>(k)]) continue;
    const Ranking& ranking = classes_[static_cast<size_t>(k)];
    const double found = table_.mask.empty() ? ranking.average_precision(counts)
                                             : ranking.average_precision(weights(k, counts));
    // 0 only without a positive clip: a class that the resample lost.
    if (found == 0) continue;
    sum += found;
    ++classes;
  }
  return classes > 0 ? sum / static_cast<double>(classes) : kUndefined;
}

double RankedTable::auc(std::span<const float> counts) const {
  double sum = 0;
  int64_t classes = 0;
  for (int64_t k = 0; k < table_.classes; ++k) {
    if (!valid_[static_cast<size_t>(k)]) continue;
    const Ranking& ranking = classes_[static_cast<size_t>(k)];
    const double auc = table_.mask.empty() ? ranking.auc(counts) : ranking.auc(weights(k, counts));
    if (std::isnan(auc)) continue;
    sum += auc;
    ++classes;
  }
  return classes > 0 ? sum / static_cast<double>(classes) : kUndefined;
}

std::vector<ClassScore> per_class(const Table& table) { return RankedTable(table).per_class(); }

Summary summarise(std::span<const ClassScore> classes) {
  Summary summary;
  double ap_all = 0;
  double auc_all = 0;
  for (const ClassScore& score : classes) {
    ap_all += score.ap;
    auc_all += score.auc;
    if (!score.valid()) continue;
    ++summary.map_classes;
    summary.map += score.ap;
    summary.auc += score.auc;
  }
  const auto valid = static_cast<double>(summary.map_classes);
  const auto all = static_cast<double>(classes.size());
  summary.map = summary.map_classes > 0 ? summary.map / valid : kUndefined;
  summary.auc = summary.map_classes > 0 ? summary.auc / valid : kUndefined;
  summary.map_all = classes.empty() ? kUndefined : ap_all / all;
  summary.auc_all = classes.empty() ? kUndefined : auc_all / all;
  summary.d_prime = d_prime(summary.auc);
  return summary;
}

int64_t argmax(std::span<const float> row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

std::vector<float> correct(const Table& table) {
  check(table);
  std::vector<float> right(static_cast<size_t>(table.rows));
  for (int64_t row = 0; row < table.rows; ++row) {
    const auto start = static_cast<size_t>(row * table.classes);
    const auto width = static_cast<size_t>(table.classes);
    right[static_cast<size_t>(row)] =
        argmax(table.score.subspan(start, width)) == argmax(table.target.subspan(start, width));
  }
  return right;
}

double accuracy(const Table& table) {
  const std::vector<float> right = correct(table);
  if (right.empty()) return kUndefined;
  return static_cast<double>(std::count(right.begin(), right.end(), 1.0F)) /
         static_cast<double>(right.size());
}

Confusion confusion(std::span<const int64_t> truth, std::span<const int64_t> predicted,
                    int64_t classes) {
  XP_CHECK(truth.size() == predicted.size(), "confusion: one prediction a clip");
  Confusion result{std::vector<int64_t>(static_cast<size_t>(classes * classes)), classes};
  for (size_t i = 0; i < truth.size(); ++i) {
    XP_CHECK(truth[i] >= 0 && truth[i] < classes && predicted[i] >= 0 && predicted[i] < classes,
             "confusion: class out of range");
    ++result.counts[static_cast<size_t>(truth[i] * classes + predicted[i])];
  }
  return result;
}

Confusion confusion(const Table& table) {
  check(table);
  std::vector<int64_t> truth;
  std::vector<int64_t> predicted;
  for (int64_t row = 0; row < table.rows; ++row) {
    const auto start = static_cast<size_t>(row * table.classes);
    const auto width = static_cast<size_t>(table.classes);
    truth.push_back(argmax(table.target.subspan(start, width)));
    predicted.push_back(argmax(table.score.subspan(start, width)));
  }
  return confusion(truth, predicted, table.classes);
}

ConfusionScores scores(const Confusion& confusion) {
  ConfusionScores result;
  const int64_t classes = confusion.classes;
  int64_t right = 0;
  int64_t total = 0;
  const auto ratio = [](int64_t part, int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  for (int64_t k = 0; k < classes; ++k) {
    int64_t occurs = 0;
    int64_t named = 0;
    for (int64_t other = 0; other < classes; ++other) {
      occurs += confusion.at(k, other);
      named += confusion.at(other, k);
    }
    const int64_t hit = confusion.at(k, k);
    right += hit;
    total += occurs;
    result.recall.push_back(ratio(hit, occurs));
    result.precision.push_back(ratio(hit, named));
    result.f1.push_back(ratio(2 * hit, occurs + named));
  }
  result.accuracy = ratio(right, total);
  double sum = 0;
  for (const double f1 : result.f1) sum += f1;
  result.f1_macro = classes > 0 ? sum / static_cast<double>(classes) : 0.0;
  return result;
}

}  // namespace xp::metric
