#include "core/metric/student.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace xp::metric {
namespace {

TEST(Student, QuantilesAreThoseOfTheTables) {
  struct Case {
    double degrees, p, want;
  };
  // R: qt(0.975, 1) and so on, to 7 digits.
  const Case cases[] = {{1, 0.975, 12.7062047}, {2, 0.975, 4.3026527},  {4, 0.975, 2.7764451},
                        {9, 0.95, 1.8331129},   {30, 0.995, 2.7499957}, {1000, 0.975, 1.9623391},
                        {5, 0.025, -2.5705818}};
  for (const Case& c : cases) {
    EXPECT_NEAR(student_quantile(c.p, c.degrees), c.want, 2e-7) << c.degrees << " " << c.p;
    EXPECT_NEAR(student_cdf(c.want, c.degrees), c.p, 1e-8);
  }
  EXPECT_EQ(student_cdf(0, 3), 0.5);
}

TEST(Student, IntervalOfAMean) {
  // 0.86 -+ 2.7764451 * 0.0651920 / sqrt(5)
  const std::vector<double> folds = {0.8, 0.85, 0.9, 0.8, 0.95};
  const Interval out = mean_interval(folds);
  EXPECT_NEAR(out.low, 0.7790534, 1e-6);
  EXPECT_NEAR(out.high, 0.9409466, 1e-6);
  const std::vector<double> one = {0.5};
  EXPECT_TRUE(std::isnan(mean_interval(one).low));
}

}  // namespace
}  // namespace xp::metric
