#include "core/metric/interval.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/rng.h"

namespace xp::metric {
namespace {

TEST(Wilson, KnownIntervals) {
  // Newcombe 1998, table I: 81 of 263 and 0 of 20.
  const Interval many = wilson(81, 263);
  EXPECT_NEAR(many.low, 0.2553, 5e-5);
  EXPECT_NEAR(many.high, 0.3662, 5e-5);
  const Interval none = wilson(0, 20);
  EXPECT_DOUBLE_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
  EXPECT_DOUBLE_EQ(wilson(20, 20).high, 1);
  EXPECT_TRUE(std::isnan(wilson(0, 0).low));
}

double weighted_mean(const std::vector<float>& values, std::span<const float> counts) {
  double sum = 0;
  double total = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i] * counts[i];
    total += counts[i];
  }
  return sum / total;
}

TEST(Bootstrap, CoversTheMeanAsTheNormalIntervalDoes) {
  Rng rng(3, "test");
  std::vector<float> values;
  double mean = 0;
  for (int i = 0; i < 400; ++i) {
    values.push_back(static_cast<float>(rng.normal()));
    mean += values.back() / 400;
  }
  const std::vector<double> draws = bootstrap(
      400, 2000, 7, [&](std::span<const float> counts) { return weighted_mean(values, counts); });
  const Interval interval = percentile_interval(draws);
  EXPECT_NEAR(interval.low, mean - 1.96 / 20, 0.02);
  EXPECT_NEAR(interval.high, mean + 1.96 / 20, 0.02);
}

TEST(Bootstrap, IsAFunctionOfItsSeed) {
  const std::vector<float> values{1, 2, 3, 4};
  const auto statistic = [&](std::span<const float> counts) {
    return weighted_mean(values, counts);
  };
  EXPECT_EQ(bootstrap(4, 20, 5, statistic), bootstrap(4, 20, 5, statistic));
  EXPECT_NE(bootstrap(4, 20, 5, statistic), bootstrap(4, 20, 6, statistic));
}

TEST(PairedBootstrap, SeesASmallDifferenceOnTheSameClips) {
  Rng rng(4, "test");
  std::vector<float> a;
  std::vector<float> b;
  for (int i = 0; i < 200; ++i) {
    a.push_back(static_cast<float>(rng.normal()));
    b.push_back(a.back() + 0.05F + 0.05F * static_cast<float>(rng.normal()));
  }
  const auto mean_of = [](const std::vector<float>& values) {
    return [&values](std::span<const float> counts) { return weighted_mean(values, counts); };
  };
  const Paired paired = paired_bootstrap(200, 500, 1, mean_of(a), mean_of(b));
  EXPECT_NEAR(paired.difference, 0.05, 0.02);
  EXPECT_GT(paired.interval.low, 0);
  EXPECT_LT(paired.p, 0.01);
  const Paired same = paired_bootstrap(200, 50, 1, mean_of(a), mean_of(a));
  EXPECT_DOUBLE_EQ(same.difference, 0);
  EXPECT_DOUBLE_EQ(same.p, 1);
}

TEST(Mcnemar, ExactTail) {
  // 1 against 9 of 10 discordant clips: 2 (C(10,0) + C(10,1)) / 2^10.
  std::vector<float> a(20, 1.0F);
  std::vector<float> b(20, 1.0F);
  for (size_t i = 0; i < 9; ++i) a[i] = 0;
  b[10] = 0;
  EXPECT_NEAR(mcnemar(a, b), 22.0 / 1024, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar(a, a), 1);
}

TEST(PercentileInterval, InterpolatesBetweenOrderStatistics) {
  const Interval interval = percentile_interval({4, 1, 3, 2, 5}, 0.5);
  EXPECT_DOUBLE_EQ(interval.low, 2);
  EXPECT_DOUBLE_EQ(interval.high, 4);
}

TEST(MeanDeviation, SampleDeviation) {
  const MeanDeviation folds = mean_deviation(std::vector<double>{1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(folds.mean, 2.5);
  EXPECT_NEAR(folds.deviation, std::sqrt(5.0 / 3), 1e-15);
  EXPECT_DOUBLE_EQ(mean_deviation(std::vector<double>{7}).deviation, 0);
}

TEST(BestMeanEpoch, IsOneEpochForAllFolds) {
  const std::vector<std::vector<double>> curves{{0.1, 0.9, 0.5}, {0.1, 0.2, 0.8, 0.99}};
  const BestMeanEpoch best = best_mean_epoch(curves);
  EXPECT_EQ(best.epoch, 3);
  EXPECT_DOUBLE_EQ(best.mean, 0.65);
  EXPECT_EQ(best_mean_epoch({}).epoch, 0);
}

}  // namespace
}  // namespace xp::metric
