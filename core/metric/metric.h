#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/metric/ranking.h"

namespace xp::metric {

/// Scores and targets of a split: row-major [N, K] arrays that the caller owns. Scores may be
/// logits or probabilities (only their order counts); a target above 0.5 is positive. `mask` [N, K]
/// of 0/1 leaves entries out (OpenMIC: only labels that people agreed on), empty = all count.
struct Table {
  std::span<const float> score;
  std::span<const float> target;
  std::span<const float> mask;
  int64_t rows = 0;     ///< N
  int64_t classes = 0;  ///< K
};

struct ClassScore {
  double ap = 0;   ///< average precision; 0 without positives
  double auc = 0;  ///< NaN without positives or without negatives
  int64_t positives = 0;
  int64_t negatives = 0;
  bool valid() const { return positives > 0 && negatives > 0; }
};

/// What a run reports for a split. Means over classes that have both kinds, unless `_all`.
struct Summary {
  double map = 0;           ///< NaN when no class has both kinds
  double map_all = 0;       ///< over all K classes; a class without positives counts 0
  int64_t map_classes = 0;  ///< classes behind `map`
  double auc = 0;
  double auc_all = 0;  ///< NaN as soon as one class is not valid
  double d_prime = 0;  ///< of the mean AUC, as AST prints it
};

/// A Table sorted once per class, 5 bytes an entry. Then every statistic is one pass over it, also
/// under weights of the clips.
class RankedTable {
 public:
  /// Throws Error (kFailed) on a NaN score. The spans of `table` must live as long as this.
  explicit RankedTable(const Table& table);

  std::vector<ClassScore> per_class() const;
  /// Mean AP over the classes valid in the whole split, where clip i counts `counts[i]` times; a
  /// class that lost its positive clips in the resample is left out.
  double map(std::span<const float> counts) const;
  /// Mean AUC over the same classes; a class that lost one kind in the resample is left out.
  double auc(std::span<const float> counts) const;

 private:
  std::vector<float> weights(int64_t k, std::span<const float> counts) const;

  Table table_;
  std::vector<Ranking> classes_;
  std::vector<bool> valid_;
};

/// Per-class scores of a table.
std::vector<ClassScore> per_class(const Table& table);

/// Means over classes.
Summary summarise(std::span<const ClassScore> classes);

/// Index of the largest entry; the first of equal ones.
int64_t argmax(std::span<const float> row);

/// Clips whose largest score and largest target are at the same class, as a fraction; NaN without
/// rows.
double accuracy(const Table& table);

/// 1 where the clip is right: the per-clip form of `accuracy`, for bootstraps and paired tests.
std::vector<float> correct(const Table& table);

/// Counts [K, K], row = true class, column = predicted class.
struct Confusion {
  std::vector<int64_t> counts;
  int64_t classes = 0;
  int64_t at(int64_t truth, int64_t predicted) const { return counts[truth * classes + predicted]; }
};
Confusion confusion(std::span<const int64_t> truth, std::span<const int64_t> predicted,
                    int64_t classes);
Confusion confusion(const Table& table);

/// Per class from a confusion; a class that never occurs (or is never predicted) has 0.
struct ConfusionScores {
  std::vector<double> recall, precision, f1;
  double accuracy = 0;
  double f1_macro = 0;
};
ConfusionScores scores(const Confusion& confusion);

}  // namespace xp::metric
