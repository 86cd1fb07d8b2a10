#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// A linear classifier that any network has to beat: torch-free.
namespace xp::train {

/// Regularised logistic regression by L-BFGS on standardised features. One label a clip: softmax
/// over classes (multinomial); several: one sigmoid a class.
class LogisticRegression {
 public:
  struct Options {
    bool multinomial = true;
    double l2 = 1.0;  ///< weight of half the squared norm of the weights (not of the biases)
    int64_t iterations = 200;
    double tolerance = 1e-5;  ///< largest gradient entry at which it stops
  };

  /// features [n, d], targets [n, k] of 0/1 (multinomial: rows are scaled to sum 1). Features
  /// without variance are left out.
  void fit(std::span<const float> features, std::span<const float> targets, int64_t n, int64_t d,
           int64_t k, const Options& options);

  /// Logits [n, k].
  std::vector<float> logits(std::span<const float> features, int64_t n) const;

  int64_t iterations() const { return iterations_; }

 private:
  std::vector<double> standardise(std::span<const float> features, int64_t n) const;

  int64_t d_ = 0;
  int64_t k_ = 0;
  std::vector<double> mean_, scale_;  // [d]; scale 0 = left out
  std::vector<double> weights_;       // [k, d + 1], the bias last
  int64_t iterations_ = 0;
};

}  // namespace xp::train
