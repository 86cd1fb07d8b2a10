#include "core/metric/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/metric/ranking.h"

namespace xp::metric {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// How often each clip is drawn in resample `draw`.
void draw_counts(uint64_t seed, int64_t draw, std::vector<float>& counts) {
  std::fill(counts.begin(), counts.end(), 0.0F);
  Rng rng(seed, "bootstrap", 0, static_cast<uint64_t>(draw));
  for (size_t i = 0; i < counts.size(); ++i) counts[rng.below(counts.size())] += 1;
}

}  // namespace

Interval wilson(int64_t hits, int64_t n, double level) {
  if (n <= 0) return {kNan, kNan};
  const double z = normal_quantile(0.5 + level / 2);
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(hits) / count;
  const double scale = 1 / (1 + z * z / count);
  const double centre = scale * (p + z * z / (2 * count));
  const double half = scale * z * std::sqrt(p * (1 - p) / count + z * z / (4 * count * count));
  return {hits == 0 ? 0.0 : std::max(0.0, centre - half),
          hits == n ? 1.0 : std::min(1.0, centre + half)};
}

Statistic mean_of(std::span<const float> values) {
  return [values](std::span<const float> counts) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[i] * counts[i];
    return sum / static_cast<double>(values.size());
  };
}

std::vector<double> bootstrap(int64_t n, int64_t resamples, uint64_t seed,
                              const Statistic& statistic) {
  XP_CHECK(resamples >= 1, "bootstrap: at least one resample");
  std::vector<double> values;
  std::vector<float> counts(static_cast<size_t>(n));
  for (int64_t draw = 0; draw < resamples && n > 0; ++draw) {
    draw_counts(seed, draw, counts);
    const double value = statistic(counts);
    if (!std::isnan(value)) values.push_back(value);
  }
  return values;
}

Interval percentile_interval(std::vector<double> values, double level) {
  if (values.empty()) return {kNan, kNan};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double position = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(position);
    const size_t above = std::min(below + 1, values.size() - 1);
    const double part = position - static_cast<double>(below);
    return values[below] * (1 - part) + values[above] * part;
  };
  return {at((1 - level) / 2), at((1 + level) / 2)};
}

Paired paired_bootstrap(int64_t n, int64_t resamples, uint64_t seed, const Statistic& a,
                        const Statistic& b, double level) {
  const std::vector<float> once(static_cast<size_t>(n), 1.0F);
  Paired result;
  result.difference = b(once) - a(once);
  const std::vector<double> draws = bootstrap(
      n, resamples, seed, [&](std::span<const float> counts) { return b(counts) - a(counts); });
  result.interval = percentile_interval(draws, level);
  if (draws.empty()) return result;
  const auto share = [&](auto&& test) {
    return static_cast<double>(std::count_if(draws.begin(), draws.end(), test)) /
           static_cast<double>(draws.size());
  };
  const double low = share([](double d) { return d <= 0; });
  const double high = share([](double d) { return d >= 0; });
  result.p = std::clamp(2 * std::min(low, high), 1 / static_cast<double>(draws.size()), 1.0);
  return result;
}

double mcnemar(std::span<const float> a, std::span<const float> b) {
  XP_CHECK(a.size() == b.size(), "mcnemar: the same clips for both");
  int64_t only_a = 0;
  int64_t only_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    only_a += a[i] > 0.5F && b[i] <= 0.5F;
    only_b += b[i] > 0.5F && a[i] <= 0.5F;
  }
  const int64_t n = only_a + only_b;
  const auto count = static_cast<double>(n);
  double tail = 0;
  for (int64_t k = 0; k <= std::min(only_a, only_b); ++k) {
    const auto kd = static_cast<double>(k);
    tail += std::exp(std::lgamma(count + 1) - std::lgamma(kd + 1) - std::lgamma(count - kd + 1) -
                     count * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

MeanDeviation mean_deviation(std::span<const double> values) {
  if (values.empty()) return {kNan, kNan};
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1)) : 0.0};
}

BestMeanEpoch best_mean_epoch(std::span<const std::vector<double>> curves) {
  BestMeanEpoch best{0, -HUGE_VAL};
  size_t epochs = curves.empty() ? 0 : curves[0].size();
  for (const std::vector<double>& curve : curves) epochs = std::min(epochs, curve.size());
  for (size_t epoch = 0; epoch < epochs; ++epoch) {
    double sum = 0;
    for (const std::vector<double>& curve : curves) sum += curve[epoch];
    const double mean = sum / static_cast<double>(curves.size());
    if (mean > best.mean) best = {static_cast<int64_t>(epoch) + 1, mean};
  }
  if (best.epoch == 0) best.mean = kNan;
  return best;
}

}  // namespace xp::metric
