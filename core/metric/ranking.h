#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace xp::metric {

/// One class (or one binary decision) with its clips sorted by falling score. Equal scores form one
/// threshold, as in scikit-learn: nothing depends on the order of tied clips. Sorted once, so that
/// the thousand resamples of a bootstrap only pass over it.
///
/// Formulas (AST `src/utilities/stats.py`, which calls scikit-learn):
/// - average precision = sum over thresholds of (R_n - R_{n-1}) P_n (steps, no interpolation);
/// - area under the ROC curve by trapezoids = P(score of a positive > score of a negative) + ties
/// / 2.
class Ranking {
 public:
  /// `scores` and `targets` have one entry a clip, `stride` apart (so a column of a row-major [N,
  /// K] array can be ranked in place); a target above 0.5 is positive. Throws Error (kFailed) on a
  /// score that is NaN.
  Ranking(std::span<const float> scores, std::span<const float> targets, int64_t rows,
          int64_t stride = 1);

  /// Area under the step-wise precision-recall curve, in [0, 1]; 0 without positives.
  double average_precision() const { return average_precision({}); }
  /// The same where clip i counts `weights[i]` times (0/1 masks, bootstrap counts); empty = once
  /// each.
  double average_precision(std::span<const float> weights) const;

  /// Area under the ROC curve, in [0, 1]; NaN when a class has no positives or no negatives.
  double auc() const { return auc({}); }
  double auc(std::span<const float> weights) const;

  int64_t positives() const { return positives_; }
  int64_t rows() const { return static_cast<int64_t>(order_.size()); }

  /// Precision and recall at every threshold, by rising threshold, with the end point (1, 0):
  /// scikit-learn's precision_recall_curve. `threshold` is one shorter.
  struct PrecisionRecall {
    std::vector<double> precision, recall, threshold;
  };
  PrecisionRecall precision_recall() const;

  /// False and true positive rate by falling threshold from (0, 0); points inside a straight piece
  /// are left out: scikit-learn's roc_curve.
  struct Roc {
    std::vector<double> fpr, tpr;
  };
  Roc roc() const;

 private:
  struct Counts {
    double positive, negative;
  };
  /// Weighted counts at and above every threshold, by falling threshold.
  std::vector<Counts> cumulative() const;

  std::vector<uint32_t> order_;    // clip of each rank
  std::vector<uint32_t> ends_;     // one past the last rank of each threshold
  std::vector<float> threshold_;   // falling
  std::vector<uint8_t> positive_;  // by rank
  int64_t positives_ = 0;
};

/// Quantile of the standard normal distribution, full double precision; -inf at 0, inf at 1, NaN
/// outside.
double normal_quantile(double p);

/// d' = sqrt(2) * quantile(AUC): what separates two unit normals with that AUC.
double d_prime(double auc);

}  // namespace xp::metric
