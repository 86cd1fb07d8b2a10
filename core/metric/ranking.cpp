#include "core/metric/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>

#include "core/base/error.h"

namespace xp::metric {

Ranking::Ranking(std::span<const float> scores, std::span<const float> targets, int64_t rows,
                 int64_t stride) {
  const auto n = static_cast<size_t>(rows);
  const auto step = static_cast<size_t>(stride);
  XP_CHECK(n == 0 || (scores.size() > (n - 1) * step && targets.size() > (n - 1) * step),
           "ranking: spans shorter than rows * stride");
  order_.resize(n);
  std::iota(order_.begin(), order_.end(), 0U);
  for (size_t i = 0; i < n; ++i)
    if (std::isnan(scores[i * step]))
      throw Error("the score of row " + std::to_string(i) + " is not a number: the model diverged",
                  Exit::kFailed);
  std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    const float sa = scores[a * step];
    const float sb = scores[b * step];
    return sa > sb || (sa == sb && a < b);
  });
  positive_.resize(n);
  for (size_t rank = 0; rank < n; ++rank) {
    const float score = scores[order_[rank] * step];
    positive_[rank] = targets[order_[rank] * step] > 0.5F;
    positives_ += positive_[rank];
    if (rank == 0 || score != threshold_.back()) {
      if (rank > 0) ends_.push_back(static_cast<uint32_t>(rank));
      threshold_.push_back(score);
    }
  }
  if (n > 0) ends_.push_back(static_cast<uint32_t>(n));
}

double Ranking::average_precision(std::span<const float> weights) const {
  double total = 0;
  double found = 0;
  double area = 0;
  uint32_t rank = 0;
  for (const uint32_t end : ends_) {
    double here = 0;
    for (; rank < end; ++rank) {
      const double weight = weights.empty() ? 1.0 : weights[order_[rank]];
      total += weight;
      if (positive_[rank]) here += weight;
    }
    if (here == 0) continue;
    found += here;
    area += here * (found / total);
  }
  return found > 0 ? area / found : 0.0;
}

double Ranking::auc(std::span<const float> weights) const {
  double positive = 0;
  double negative = 0;
  double area = 0;
  uint32_t rank = 0;
  for (const uint32_t end : ends_) {
    double up = 0;
    double right = 0;
    for (; rank < end; ++rank) {
      const double weight = weights.empty() ? 1.0 : weights[order_[rank]];
      (positive_[rank] ? up : right) += weight;
    }
    area += right * (positive + up / 2);
    positive += up;
    negative += right;
  }
  if (positive <= 0 || negative <= 0) return std::numeric_limits<double>::quiet_NaN();
  return area / (positive * negative);
}

std::vector<Ranking::Counts> Ranking::cumulative() const {
  std::vector<Counts> counts;
  counts.reserve(ends_.size());
  Counts sum{0, 0};
  uint32_t rank = 0;
  for (const uint32_t end : ends_) {
    for (; rank < end; ++rank) (positive_[rank] ? sum.positive : sum.negative) += 1;
    counts.push_back(sum);
  }
  return counts;
}

Ranking::PrecisionRecall Ranking::precision_recall() const {
  PrecisionRecall curve;
  const std::vector<Counts> counts = cumulative();
  const auto total = static_cast<double>(positives_);
  for (size_t i = counts.size(); i-- > 0;) {
    const Counts& c = counts[i];
    curve.precision.push_back(c.positive / (c.positive + c.negative));
    curve.recall.push_back(positives_ > 0 ? c.positive / total : 1.0);
    curve.threshold.push_back(threshold_[i]);
  }
  curve.precision.push_back(1);
  curve.recall.push_back(0);
  return curve;
}

Ranking::Roc Ranking::roc() const {
  Roc curve;
  curve.fpr.push_back(0);
  curve.tpr.push_back(0);
  const std::vector<Counts> counts = cumulative();
  const double up = static_cast<double>(positives_);
  const double right = static_cast<double>(rows() - positives_);
  const auto rate = [](double count, double total) {
    return total > 0 ? count / total : std::numeric_limits<double>::quiet_NaN();
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    if (i > 0 && i + 1 < counts.size()) {
      // Second difference zero in both counts: the point lies inside a straight piece.
      const Counts &a = counts[i - 1], &b = counts[i], &c = counts[i + 1];
      if (c.positive - 2 * b.positive + a.positive == 0 &&
          c.negative - 2 * b.negative + a.negative == 0)
        continue;
    }
    curve.fpr.push_back(rate(counts[i].negative, right));
    curve.tpr.push_back(rate(counts[i].positive, up));
  }
  return curve;
}

double normal_quantile(double p) {
  if (std::isnan(p) || p < 0 || p > 1) return std::numeric_limits<double>::quiet_NaN();
  if (p == 0.5) return 0;
  const double tail = std::min(p, 1 - p);
  if (tail == 0) return p == 0 ? -HUGE_VAL : HUGE_VAL;
  // Abramowitz and Stegun 26.2.23 to three digits, then Halley's iteration on the tail (cubic, so
  // three rounds reach the last bit); the tail keeps its relative precision where 1 - p would not.
  const double t = std::sqrt(-2 * std::log(tail));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                     (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int round = 0; round < 3; ++round) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    if (density == 0) break;
    const double error = (tail - 0.5 * std::erfc(x / std::numbers::sqrt2)) / density;
    x -= error / (1 + x * error / 2);
  }
  return p < 0.5 ? -x : x;
}

double d_prime(double auc) { return std::numbers::sqrt2 * normal_quantile(auc); }

}  // namespace xp::metric
