#include "core/metric/metric.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::metric {
namespace {

TEST(Ranking, AveragePrecisionByHand) {
  struct Case {
    const char* name;
    std::vector<float> score, target;
    double ap, auc;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Case cases[] = {
      {"perfect", {0.9F, 0.8F, 0.1F}, {1, 1, 0}, 1.0, 1.0},
      {"reversed", {0.1F, 0.8F, 0.9F}, {1, 0, 0}, 1.0 / 3, 0.0},
      {"second of two", {0.9F, 0.5F}, {0, 1}, 0.5, 0.0},
      {"all tied", {0.5F, 0.5F, 0.5F, 0.5F}, {1, 0, 0, 0}, 0.25, 0.5},
      {"no positives", {0.3F, 0.2F}, {0, 0}, 0.0, nan},
      {"no negatives", {0.3F, 0.2F}, {1, 1}, 1.0, nan},
      {"no rows", {}, {}, 0.0, nan},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Ranking ranking(c.score, c.target, static_cast<int64_t>(c.score.size()));
    EXPECT_DOUBLE_EQ(ranking.average_precision(), c.ap);
    if (std::isnan(c.auc))
      EXPECT_TRUE(std::isnan(ranking.auc()));
    else
      EXPECT_DOUBLE_EQ(ranking.auc(), c.auc);
  }
}

TEST(Ranking, TiedClipsMayComeInAnyOrder) {
  std::vector<float> score{0.5F, 0.5F, 0.9F, 0.5F, 0.1F};
  std::vector<float> target{1, 0, 0, 1, 0};
  const double ap = Ranking(score, target, 5).average_precision();
  const double auc = Ranking(score, target, 5).auc();
  std::vector<size_t> order{0, 1, 2, 3, 4};
  while (std::next_permutation(order.begin(), order.end())) {
    std::vector<float> s;
    std::vector<float> t;
    for (const size_t i : order) {
      s.push_back(score[i]);
      t.push_back(target[i]);
    }
    EXPECT_DOUBLE_EQ(Ranking(s, t, 5).average_precision(), ap);
    EXPECT_DOUBLE_EQ(Ranking(s, t, 5).auc(), auc);
  }
}

TEST(Ranking, AWeightOfTwoIsTheClipTwice) {
  Rng rng(1, "test");
  std::vector<float> score;
  std::vector<float> target;
  std::vector<float> weight;
  std::vector<float> long_score;
  std::vector<float> long_target;
  for (int i = 0; i < 60; ++i) {
    score.push_back(static_cast<float>(rng.below(20)));
    target.push_back(static_cast<float>(rng.below(2)));
    weight.push_back(static_cast<float>(rng.below(4)));
    for (int copy = 0; copy < static_cast<int>(weight.back()); ++copy) {
      long_score.push_back(score.back());
      long_target.push_back(target.back());
    }
  }
  const Ranking weighted(score, target, 60);
  const Ranking repeated(long_score, long_target, static_cast<int64_t>(long_score.size()));
  EXPECT_NEAR(weighted.average_precision(weight), repeated.average_precision(), 1e-12);
  EXPECT_NEAR(weighted.auc(weight), repeated.auc(), 1e-12);
}

TEST(Ranking, AScoreThatIsNotANumberIsSaid) {
  const std::vector<float> score{0.1F, NAN};
  const std::vector<float> target{0, 1};
  try {
    const Ranking ranking(score, target, 2);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the score of row 1 is not a number: the model diverged");
    EXPECT_EQ(error.code(), Exit::kFailed);
  }
}

TEST(NormalQuantile, InvertsTheDistribution) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-12);
  EXPECT_DOUBLE_EQ(normal_quantile(0.5), 0);
  EXPECT_TRUE(std::isinf(normal_quantile(0)) && normal_quantile(0) < 0);
  EXPECT_TRUE(std::isinf(normal_quantile(1)));
  EXPECT_TRUE(std::isnan(normal_quantile(-0.1)));
  for (double x = -8; x < 8; x += 0.37) {
    const double p = 0.5 * std::erfc(-x / std::sqrt(2.0));
    EXPECT_NEAR(0.5 * std::erfc(-normal_quantile(p) / std::sqrt(2.0)), p, 1e-15 + p * 1e-13) << x;
  }
}

TEST(Summary, LeavesOutClassesWithOneKind) {
  //                 perfect, only negatives
  const std::vector<float> score{0.9F, 0.2F, 0.1F, 0.7F};
  const std::vector<float> target{1, 0, 0, 0};
  const Summary summary = summarise(per_class(Table{score, target, {}, 2, 2}));
  EXPECT_EQ(summary.map_classes, 1);
  EXPECT_DOUBLE_EQ(summary.map, 1.0);
  EXPECT_DOUBLE_EQ(summary.map_all, 0.5);
  EXPECT_DOUBLE_EQ(summary.auc, 1.0);
  EXPECT_TRUE(std::isnan(summary.auc_all));
}

TEST(Summary, HasNoMeanWithoutClasses) {
  const std::vector<float> score{0.9F};
  const std::vector<float> target{1};
  const Summary summary = summarise(per_class(Table{score, target, {}, 1, 1}));
  EXPECT_EQ(summary.map_classes, 0);
  EXPECT_TRUE(std::isnan(summary.map));
}

TEST(RankedTable, UnitCountsGiveThePlainMean) {
  Rng rng(2, "test");
  std::vector<float> score;
  std::vector<float> target;
  for (int i = 0; i < 40 * 5; ++i) {
    score.push_back(static_cast<float>(rng.uniform()));
    target.push_back(static_cast<float>(rng.below(2)));
  }
  const Table table{score, target, {}, 40, 5};
  const RankedTable ranked(table);
  const std::vector<float> once(40, 1.0F);
  EXPECT_DOUBLE_EQ(ranked.map(once), summarise(ranked.per_class()).map);
  EXPECT_DOUBLE_EQ(ranked.auc(once), summarise(ranked.per_class()).auc);
}

// One positive clip a class: a third of the resamples lack it, which says nothing of the model.
TEST(RankedTable, AClassThatAResampleLostIsLeftOut) {
  constexpr int64_t kClasses = 5;
  std::vector<float> perfect(kClasses * kClasses, 0.0F);
  for (size_t k = 0; k < kClasses; ++k) perfect[k * kClasses + k] = 1;
  const RankedTable ranked(Table{perfect, perfect, {}, kClasses, kClasses});
  const Interval found = percentile_interval(bootstrap(
      kClasses, 200, 1, [&](std::span<const float> counts) { return ranked.map(counts); }));
  EXPECT_DOUBLE_EQ(found.low, 1);
  EXPECT_DOUBLE_EQ(found.high, 1);
}

TEST(Accuracy, TakesTheFirstOfEqualScores) {
  const std::vector<float> score{0.5F, 0.5F, 0.1F, 0.3F};
  const std::vector<float> target{1, 0, 1, 0};
  EXPECT_DOUBLE_EQ(accuracy(Table{score, target, {}, 2, 2}), 0.5);
  EXPECT_TRUE(std::isnan(accuracy(Table{{}, {}, {}, 0, 2})));
}

}  // namespace
}  // namespace xp::metric
