#include "core/report/statistics.h"

#include <vector>

#include <gtest/gtest.h>

namespace xp::report {
namespace {

TEST(Statistics, IntervalOfFiveSeeds) {
  const std::vector<double> values = {1, 2, 3, 4, 5};
  const Estimate out = estimate(values);
  EXPECT_EQ(out.n, 5);
  EXPECT_DOUBLE_EQ(out.mean, 3);
  EXPECT_NEAR(out.deviation, 1.5811388, 1e-7);
  // 3 -+ 2.7764451 * 1.5811388 / sqrt(5)
  EXPECT_NEAR(out.interval.low, 1.0367568, 1e-6);
  EXPECT_NEAR(out.interval.high, 4.9632432, 1e-6);
}

TEST(Statistics, OneSeedHasNoInterval) {
  const std::vector<double> one = {0.4};
  EXPECT_FALSE(estimate(one).bounded());
  EXPECT_TRUE(std::isnan(estimate(one).deviation));
  const Contrast contrast = paired(one, one);
  EXPECT_EQ(contrast.kind, Contrast::Kind::kPlain);
  EXPECT_FALSE(contrast.measurable());
}

TEST(Statistics, PairsAndWelchAsTheirFormulas) {
  const std::vector<double> a = {0.40, 0.42, 0.44}, b = {0.41, 0.44, 0.45};
  const Contrast pair = paired(a, b);
  // differences 0.01 0.02 0.01: mean 0.0133333, deviation 0.0057735, t(2) = 4.3026527
  EXPECT_NEAR(pair.difference, 0.0133333, 1e-7);
  EXPECT_NEAR(pair.interval.low, 0.0133333 - 4.3026527 * 0.0057735 / std::sqrt(3.0), 1e-7);
  EXPECT_NEAR(pair.p, 0.0571910, 1e-6);
  EXPECT_FALSE(pair.measurable());
  const Contrast welch = unpaired(a, b);
  EXPECT_NEAR(welch.difference, pair.difference, 1e-12);
  // t = 0.8 at 3.99 degrees; the closed form at 4 degrees gives p = 0.4685
  EXPECT_NEAR(welch.p, 0.4685, 1e-3);
  EXPECT_LT(welch.interval.low, pair.interval.low);
}

TEST(Statistics, EqualPairsDifferByExactlyNothing) {
  const std::vector<double> a = {0.1, 0.2};
  const Contrast out = paired(a, a);
  EXPECT_EQ(out.interval.low, 0);
  EXPECT_EQ(out.interval.high, 0);
  EXPECT_EQ(out.p, 1);
  EXPECT_FALSE(out.measurable());
}

}  // namespace
}  // namespace xp::report
