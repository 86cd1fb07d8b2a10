#include "core/report/pareto.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/report/downsample.h"

namespace xp::report {
namespace {

using ::testing::ElementsAre;
using Points = std::vector<std::vector<double>>;

// Numbers in [0, 1) without a library: what matters is that there are many and some are equal.
class Numbers {
 public:
  double operator()() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state_ >> 40) / static_cast<double>(1ULL << 24);
  }

 private:
  uint64_t state_ = 17;
};

std::vector<size_t> brute_force(const Points& points) {
  std::vector<size_t> out;
  for (size_t i = 0; i < points.size(); ++i) {
    bool beaten = false;
    for (const auto& other : points) {
      bool no_worse = true, better = false;
      for (size_t k = 0; k < other.size(); ++k) {
        no_worse = no_worse && other[k] >= points[i][k];
        better = better || other[k] > points[i][k];
      }
      beaten = beaten || (no_worse && better);
    }
    if (!beaten) out.push_back(i);
  }
  return out;
}

TEST(Pareto, IsTheBruteForceFrontOfAThousandPoints) {
  Numbers number;
  for (const size_t objectives : {1U, 2U, 3U, 5U}) {
    for (const double grid : {0.0, 8.0}) {  // 8: many ties
      Points points(1000, std::vector<double>(objectives));
      for (auto& point : points) {
        for (double& value : point) value = grid > 0 ? std::floor(number() * grid) : number();
      }
      EXPECT_EQ(pareto_front(points), brute_force(points)) << objectives << " " << grid;
    }
  }
}

TEST(Pareto, EqualPointsStandTogetherAndNaNNever) {
  EXPECT_THAT(pareto_front(Points{{1, 2}, {1, 2}, {0, 2}, {2, 1}, {NAN, 9}}), ElementsAre(0, 1, 3));
  EXPECT_TRUE(pareto_front(Points{}).empty());
}

TEST(Downsample, ASpikeOfOneInAMillionAndEveryNaNColumnStay) {
  std::vector<XY> points;
  for (int i = 0; i < 1000000; ++i) points.push_back({static_cast<double>(i), std::sin(i * 1e-4)});
  points[654321].y = 50;
  points[333333].y = NAN;
  points[777777].y = INFINITY;
  const std::vector<XY> out = downsample(points, 500);
  EXPECT_LE(out.size(), 5 * 500U);
  bool spike = false, nan = false, infinite = false;
  for (const XY& point : out) {
    spike = spike || (point.x == 654321 && point.y == 50);
    nan = nan || (point.x == 333333 && std::isnan(point.y));
    infinite = infinite || (point.x == 777777 && std::isinf(point.y));
  }
  EXPECT_TRUE(spike);
  EXPECT_TRUE(nan);
  EXPECT_TRUE(infinite);
  EXPECT_EQ(out.front().x, 0);
  EXPECT_EQ(out.back().x, 999999);
}

TEST(Downsample, FewPointsStayAsTheyAre) {
  const std::vector<XY> points = {{1, 2}, {2, NAN}, {3, 4}};
  EXPECT_EQ(downsample(points, 10).size(), 3U);
}

}  // namespace
}  // namespace xp::report
