#include "core/metric/logistic.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::metric {
namespace {

TEST(LogisticRegression, TwoPointsHaveTheirClosedForm) {
  // Standardised x = -1, +1, targets 0 and 1, sigmoid: with w >= 0 and b = 0 by symmetry the
  // optimum solves sigmoid(-w) = penalty / N * w.
  const LogisticRegression model(std::vector<float>{3, 5}, std::vector<float>{0, 1}, 2, 1,
                                 Link::kSigmoid, 1.0);
  const double w = model.scores(std::vector<float>{5}, 1)[0];
  EXPECT_NEAR(1 / (1 + std::exp(w)), 0.5 * w, 1e-5);
}

TEST(LogisticRegression, SoftmaxSeparatesClusters) {
  Rng rng(1, "clusters");
  constexpr int64_t kRows = 90;
  std::vector<float> features, targets;
  for (int64_t i = 0; i < kRows; ++i) {
    const auto k = i % 3;
    features.push_back(static_cast<float>(4 * std::cos(2.1 * k) + 0.5 * rng.normal()));
    features.push_back(static_cast<float>(4 * std::sin(2.1 * k) + 0.5 * rng.normal()));
    for (int64_t c = 0; c < 3; ++c) targets.push_back(c == k ? 1 : 0);
  }
  const LogisticRegression model(features, targets, kRows, 3, Link::kSoftmax);
  const auto scores = model.scores(features, kRows);
  for (int64_t i = 0; i < kRows; ++i) {
    const float* row = scores.data() + 3 * i;
    EXPECT_EQ(std::max_element(row, row + 3) - row, i % 3);
  }
  EXPECT_GT(model.iterations(), 2);
}

TEST(LogisticRegression, ConstantFeatureChangesNothing) {
  const std::vector<float> targets = {0, 1, 0, 1};
  const LogisticRegression plain(std::vector<float>{0, 1, 2, 5}, targets, 4, 1, Link::kSigmoid);
  const LogisticRegression with(std::vector<float>{0, 7, 1, 7, 2, 7, 5, 7}, targets, 4, 1,
                                Link::kSigmoid);
  EXPECT_NEAR(plain.scores(std::vector<float>{3}, 1)[0],
              with.scores(std::vector<float>{3, 7}, 1)[0], 1e-5);
}

TEST(LogisticRegression, RefusesNumbersThatAreNone) {
  const std::vector<float> features = {std::numeric_limits<float>::quiet_NaN(), 1};
  EXPECT_THROW(LogisticRegression(features, std::vector<float>{0, 1}, 2, 1, Link::kSigmoid), Error);
}

}  // namespace
}  // namespace xp::metric
