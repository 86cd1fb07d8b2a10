#include "tracker/plot.h"

#include <cmath>

#include <gtest/gtest.h>

namespace xp::tracker {
namespace {

TEST(Plot, SpikeOfOnePointInAMillionStays) {
  std::vector<Point> points;
  for (int64_t step = 0; step < 1000000; ++step) points.push_back({step, 0, 1, 1});
  points[123456].value = 9;
  points[654321].value = -9;
  points[777777].value = std::nan("");
  const std::vector<Point> few = downsample(points, 100);
  EXPECT_LE(few.size(), 500u);
  bool high = false, low = false, nan = false;
  for (size_t i = 0; i < few.size(); ++i) {
    high = high || few[i].value == 9;
    low = low || few[i].value == -9;
    nan = nan || std::isnan(few[i].value);
    if (i > 0) {
      EXPECT_LT(few[i - 1].step, few[i].step);
    }
  }
  EXPECT_TRUE(high && low && nan);
  EXPECT_EQ(few.front().step, 0);
  EXPECT_EQ(few.back().step, 999999);
  EXPECT_EQ(downsample({points.begin(), points.begin() + 10}, 100).size(), 10u);
}

TEST(Plot, DrawsACurve) {
  Curve curve;
  curve.metric = "train.loss";
  for (int64_t step = 0; step <= 20; ++step)
    curve.points.push_back({step, 0, 0.05 * static_cast<double>(step), 1});
  curve.points[10].value = std::nan("");
  EXPECT_EQ(draw_curve(curve, 31, 4),
            "train.loss\n"
            "     0.875 ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⡠⠔⠒⠊\n"
            "           ⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⡠⠔⠊⠉⠁⠀⠀⠀⠀\n"
            "     0.375 ⠀⠀⠀⠀⠀⣀⣀⠤⠒⠁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀\n"
            "     0.125 ⣀⠤⠤⠒⠉⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀\n"
            "not finite           !\n"
            "           0            step 20\n");
  curve.points.assign(1, {5, 0, std::nan(""), 1});
  EXPECT_EQ(draw_curve(curve, 40, 4), "train.loss\nno finite value yet\n");
  curve.points.assign(1, {5, 0, 2.0, 1});
  EXPECT_NE(draw_curve(curve, 40, 4).find("2"), std::string::npos);
}

}  // namespace
}  // namespace xp::tracker
