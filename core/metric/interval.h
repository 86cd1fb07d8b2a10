#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace xp::metric {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's score interval of a proportion (Wilson 1927): `hits` of `n` at the given confidence.
/// Good for small n and near 0 and 1, unlike the normal one. NaN for n = 0.
Interval wilson(int64_t hits, int64_t n, double level = 0.95);

/// A statistic of a split under resampling: clip i counts `counts[i]` times (counts sum to n).
using Statistic = std::function<double(std::span<const float> counts)>;

/// The mean over clips of `values` [n], which have to outlive it: accuracy, where they are 1 for a
/// clip that is right.
Statistic mean_of(std::span<const float> values);

/// Percentile bootstrap over clips: `resamples` draws of n clips with replacement, each a pure
/// function of (seed, number of the draw), so two statistics with one seed see the same clips.
/// Draws where the statistic is NaN are left out. `resamples` >= 1.
std::vector<double> bootstrap(int64_t n, int64_t resamples, uint64_t seed,
                              const Statistic& statistic);

/// The middle `level` of `values` (linear interpolation between order statistics, as numpy's
/// default). NaN for no values.
Interval percentile_interval(std::vector<double> values, double level = 0.95);

/// Two systems on the same clips: difference b - a, its bootstrap interval, and the two-sided
/// p-value 2 min(share of draws <= 0, share of draws >= 0), at least 1 / resamples.
struct Paired {
  double difference = 0;
  Interval interval;
  double p = 1;
};
Paired paired_bootstrap(int64_t n, int64_t resamples, uint64_t seed, const Statistic& a,
                        const Statistic& b, double level = 0.95);

/// Exact McNemar test: of the clips that exactly one of two systems gets right, is the split a fair
/// coin? Two-sided p. `a`, `b`: 1 where right.
double mcnemar(std::span<const float> a, std::span<const float> b);

/// Mean and sample deviation (n - 1; 0 for one value, NaN for none).
struct MeanDeviation {
  double mean = 0;
  double deviation = 0;
};
MeanDeviation mean_deviation(std::span<const double> values);

/// AST's choice for k-fold sets: the (1-based) epoch whose mean over folds is best, and that mean.
/// It is chosen on the test folds, so it is printed beside the result and never is the result.
/// `curves` are one list a fold, cut to the shortest. Epoch 0 when a fold has none.
struct BestMeanEpoch {
  int64_t epoch = 0;
  double mean = 0;
};
BestMeanEpoch best_mean_epoch(std::span<const std::vector<double>> curves);

}  // namespace xp::metric
