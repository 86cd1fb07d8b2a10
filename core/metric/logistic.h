#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace xp::metric {

/// What a class score means: kSoftmax for one label a clip, kSigmoid for several.
enum class Link { kSoftmax, kSigmoid };

/// L2-regularised logistic regression on standardised features: the simple model that a network has
/// to beat.
///
/// Minimises  mean_i loss(x_i W + b, y_i) + penalty / (2 N) |W|^2  with L-BFGS (Nocedal and Wright,
/// "Numerical Optimization", algorithm 7.4, Armijo backtracking) from zero; the problem is convex,
/// so the result does not depend on a seed. `penalty` = 1 is scikit-learn's C = 1. The bias is not
/// penalised.
class LogisticRegression {
 public:
  /// `features` [N, D] row-major, `targets` [N, K] in [0, 1] (rows sum to 1 for kSoftmax). N, D, K
  /// >= 1. A feature that never varies is left out of the fit. `check` is called before every
  /// iteration and may throw to end the fit. Throws Error (kFailed) on a value that is not finite.
  LogisticRegression(
      std::span<const float> features, std::span<const float> targets, int64_t rows,
      int64_t classes, Link link, double penalty = 1.0, const std::function<void()>& check = [] {});

  /// Class scores (logits) of `rows` rows of features [rows, D]: [rows, K].
  std::vector<float> scores(std::span<const float> features, int64_t rows) const;

  int iterations() const { return iterations_; }

 private:
  std::vector<double> standardise(std::span<const float> features, int64_t rows) const;

  int64_t inputs_ = 0;   // D
  int64_t classes_ = 0;  // K
  std::vector<double> mean_, scale_;
  std::vector<double> weights_;  // [(D + 1), K], the bias last
  int iterations_ = 0;
};

}  // namespace xp::metric
