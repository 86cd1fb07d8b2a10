#include "sweeps/strategy.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/schema/load.h"
#include "sweeps/halving.h"
#include "sweeps/pareto.h"
#include "sweeps/sobol.h"
#include "sweeps/tpe.h"

namespace xp::sweeps {
namespace {

Space unit_space(int dimensions) {
  const char* keys[] = {"optimiser.weight_decay", "kd.lambda", "optimiser.lr",
                        "train.label_smoothing"};
  std::vector<std::pair<std::string, std::string>> params;
  for (int d = 0; d < dimensions; ++d) params.emplace_back(keys[d], "uniform:0.1:0.9");
  return make_space(schema::language(), params, {});
}

TEST(Pareto, LayersAreThoseOfBruteForce) {
  std::vector<Losses> all;
  for (uint64_t i = 0; i < 1000; ++i) {
    Rng rng(1, "pareto", 0, i);
    // A coarse grid: ties and equal points.
    all.push_back({std::floor(rng.uniform() * 20), std::floor(rng.uniform() * 20),
                   std::floor(rng.uniform() * 5)});
  }
  all.push_back({std::nan(""), 0, 0});
  const std::vector<size_t> layers = pareto_layers(all);
  for (size_t i = 0; i < all.size(); ++i) {
    const bool beaten = std::any_of(all.begin(), all.end(),
                                    [&](const Losses& other) { return dominates(other, all[i]); });
    EXPECT_EQ(layers[i] == 0, !beaten);
    if (layers[i] == 0) continue;
    // Somebody of the layer before beats it, nobody of its own or a later one does.
    bool by_earlier = false;
    for (size_t j = 0; j < all.size(); ++j) {
      if (!dominates(all[j], all[i])) continue;
      EXPECT_LT(layers[j], layers[i]);
      by_earlier = by_earlier || layers[j] + 1 == layers[i];
    }
    EXPECT_TRUE(by_earlier);
  }
}

TEST(Pareto, OneObjectiveIsSorted) {
  EXPECT_EQ(best_first({{3}, {1}, {std::nan("")}, {2}, {1}}), (std::vector<size_t>{1, 4, 3, 0, 2}));
}

TEST(Sobol, BeforeItsShiftThePointsArePublishedOnes) {
  // Joe and Kuo's own example: the first points in three dimensions.
  const std::vector<std::vector<double>> published = {
      {0, 0, 0},          {0.5, 0.5, 0.5},       {0.75, 0.25, 0.25},
      {0.25, 0.75, 0.75}, {0.375, 0.375, 0.625}, {0.875, 0.875, 0.125}};
  const Sobol sobol(3, 5);
  const auto bits = [](double x) { return static_cast<uint32_t>(x * 0x1p32); };
  const std::vector<double> shift = sobol.point(0);
  for (size_t i = 0; i < published.size(); ++i) {
    const std::vector<double> point = sobol.point(i);
    for (size_t d = 0; d < 3; ++d)
      EXPECT_EQ(bits(point[d]) ^ bits(shift[d]), bits(published[i][d])) << i << ", " << d;
  }
}

TEST(Sobol, EveryPlaneOfTheFirstAxesIsEven) {
  // Criterion D of the table: 256 points leave no cell of an 8 x 8 grid of any plane empty.
  const Sobol sobol(8, 3);
  for (size_t a = 0; a < 8; ++a) {
    for (size_t b = 0; b < a; ++b) {
      std::set<std::pair<int, int>> cells;
      for (uint64_t i = 0; i < 256; ++i) {
        const auto point = sobol.point(i);
        cells.emplace(static_cast<int>(point[a] * 8), static_cast<int>(point[b] * 8));
      }
      EXPECT_EQ(cells.size(), 64U) << a << ", " << b;
    }
  }
}

TEST(Sobol, EveryAlignedBlockFillsEachAxisEvenly) {
  for (const uint64_t seed : {0, 7}) {
    const Sobol sobol(12, seed);
    for (const uint64_t block : {0, 3}) {
      std::vector<std::set<int>> cells(12);
      for (uint64_t i = 0; i < 64; ++i) {
        const std::vector<double> point = sobol.point(block * 64 + i);
        for (size_t d = 0; d < 12; ++d) {
          ASSERT_GE(point[d], 0);
          ASSERT_LT(point[d], 1);
          cells[d].insert(static_cast<int>(point[d] * 64));
        }
      }
      for (const auto& of_axis : cells) EXPECT_EQ(of_axis.size(), 64U);
    }
  }
}

TEST(Sobol, TheFirstPlaneIsAPerfectNet) {
  const Sobol sobol(2, 3);
  for (int a = 0; a <= 6; ++a) {  // 64 points: each box of area 1/64 has one
    std::set<std::pair<int, int>> boxes;
    for (uint64_t i = 0; i < 64; ++i) {
      const auto point = sobol.point(i);
      boxes.emplace(static_cast<int>(point[0] * (1 << a)),
                    static_cast<int>(point[1] * (1 << (6 - a))));
    }
    EXPECT_EQ(boxes.size(), 64U) << a;
  }
}

TEST(Sobol, IntegratesBetterThanChance) {
  // The product of (x_d + 1/2) over 8 axes has mean 1.
  const Sobol sobol(8, 1);
  double low = 0, chance = 0;
  constexpr int kPoints = 4096;
  for (uint64_t i = 0; i < kPoints; ++i) {
    Rng rng(1, "chance", 0, i);
    double a = 1, b = 1;
    for (const double x : sobol.point(i)) {
      a *= x + 0.5;
      b *= rng.uniform() + 0.5;
    }
    low += a / kPoints;
    chance += b / kPoints;
  }
  EXPECT_LT(std::abs(low - 1), 0.005);
  EXPECT_LT(std::abs(low - 1), std::abs(chance - 1));
}

std::vector<Observation> play(const Strategy& strategy, int64_t until,
                              std::vector<Observation> history,
                              const std::function<Losses(const std::vector<double>&)>& loss) {
  for (int64_t number = static_cast<int64_t>(history.size()) + 1; number <= until; ++number) {
    Observation next;
    next.point = number;
    next.place = strategy.propose(number, 0, history);
    next.losses = loss(next.place);
    history.push_back(next);
  }
  return history;
}

Losses bowl(const std::vector<double>& x) {
  double sum = 0;
  for (size_t d = 0; d < x.size(); ++d)
    sum += (x[d] - 0.7) * (x[d] - 0.7) * static_cast<double>(d + 1);
  return {sum};
}

double best_of(const std::vector<Observation>& all) {
  double out = 1e9;
  for (const Observation& observation : all) out = std::min(out, observation.losses.front());
  return out;
}

TEST(Strategy, AnInterruptedSweepGoesOnWithTheSameProposals) {
  const Space space = unit_space(3);
  for (const char* name : {"random", "sobol", "tpe", "asha"}) {
    SCOPED_TRACE(name);
    const auto whole = play(*make_strategy(name, space, 5), 40, {}, bowl);
    auto halves = play(*make_strategy(name, space, 5), 17, {}, bowl);
    halves =
        play(*make_strategy(name, space, 5), 40, halves, bowl);  // another process, the same table
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(whole[i].place, halves[i].place) << i;
    EXPECT_NE(whole[3].place, make_strategy(name, space, 6)->propose(4, 0, {})) << "another seed";
  }
}

TEST(Tpe, FindsABowlBetterThanChance) {
  const Space space = unit_space(3);
  int wins = 0;
  double tpe = 0, random = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const double a = best_of(play(*make_strategy("tpe", space, seed), 80, {}, bowl));
    const double b = best_of(play(*make_strategy("random", space, seed), 80, {}, bowl));
    wins += a < b ? 1 : 0;
    tpe += a / 20;
    random += b / 20;
  }
  EXPECT_GE(wins, 15);
  EXPECT_LT(tpe, random / 2);
}

TEST(Tpe, LearnsWhichChoiceIsGood) {
  const Space space = make_space(schema::language(),
                                 {{"optimiser.kind", "adam,adamw,sgd"}, {"tome.r", "0:64:8"}}, {});
  const auto loss = [](const std::vector<double>& x) {
    return Losses{(static_cast<int>(x[0] * 3) == 1 ? 0.0 : 1.0) +
                  std::abs(std::floor(x[1] * 9) - 2) / 9};
  };
  const auto all = play(*make_strategy("tpe", space, 0), 60, {}, loss);
  int good = 0;
  for (size_t i = 30; i < 60; ++i) good += all[i].losses.front() < 0.3 ? 1 : 0;
  EXPECT_GE(good, 12) << "chance is 4 of 30";
}

TEST(Tpe, SeveralObjectivesSpreadOverTheFront) {
  const Space space = unit_space(2);
  // The front is the line x1 = 0.5 with any x0.
  const auto loss = [](const std::vector<double>& x) {
    const double off = std::abs(x[1] - 0.5);
    return Losses{x[0] + off, 1 - x[0] + off};
  };
  const auto all = play(*make_strategy("tpe", space, 0), 80, {}, loss);
  double off = 0;
  for (size_t i = 40; i < 80; ++i) off += std::abs(all[i].place[1] - 0.5) / 40;
  EXPECT_LT(off, 0.15) << "chance is 0.25";
}

TEST(Tpe, FailedPointsAreLeftOut) {
  const Space space = unit_space(1);
  const Tpe tpe(space, 0);
  std::vector<Observation> history = play(tpe, 12, {}, bowl);
  const auto without = tpe.propose(14, 0, history);
  Observation failed;
  failed.point = 13;
  failed.place = {0.2};
  history.push_back(failed);
  EXPECT_EQ(tpe.propose(14, 0, history), without);
}

TEST(Halving, RungsAreGeometric) {
  const Halving halving{2, 3};
  EXPECT_EQ(halving.rung(1), 0);
  EXPECT_EQ(halving.rung(2), 2);
  EXPECT_EQ(halving.rung(5), 2);
  EXPECT_EQ(halving.rung(6), 6);
  EXPECT_EQ(halving.rung(100), 54);
}

TEST(Halving, TheBestThirdGoesOn) {
  const Halving halving{1, 3};
  EXPECT_TRUE(halving.goes_on(std::vector<double>{5}, 5)) << "alone";
  EXPECT_TRUE(halving.goes_on(std::vector<double>{5, 4}, 4));
  EXPECT_FALSE(halving.goes_on(std::vector<double>{5, 4}, 5));
  EXPECT_TRUE(halving.goes_on(std::vector<double>{1, 2, 3, 4, 5, 6}, 2));
  EXPECT_FALSE(halving.goes_on(std::vector<double>{1, 2, 3, 4, 5, 6}, 3));
  EXPECT_FALSE(halving.goes_on(std::vector<double>{std::nan("")}, std::nan("")));
}

}  // namespace
}  // namespace xp::sweeps
