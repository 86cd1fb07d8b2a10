#include "sweeps/space.h"

#include <set>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/schema/load.h"
#include "sweeps/exclude.h"

namespace xp::sweeps {
namespace {

using Params = std::vector<std::pair<std::string, std::string>>;
using Texts = std::vector<std::string>;

Space space(const Params& params, const std::vector<Texts>& zip = {}) {
  return make_space(schema::language(), params, zip);
}

Texts points(const Space& s) {
  Texts out;
  for (const Point& point : grid(s)) out.push_back(point_text(s, point));
  return out;
}

std::string message(const Params& params, const std::vector<Texts>& zip = {}) {
  try {
    grid(space(params, zip));
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(SweepSpace, ARangeHasBothEnds) {
  EXPECT_EQ(points(space({{"tome.r", "0:64:8"}})),
            (Texts{"tome.r = 0", "tome.r = 8", "tome.r = 16", "tome.r = 24", "tome.r = 32",
                   "tome.r = 40", "tome.r = 48", "tome.r = 56", "tome.r = 64"}));
}

TEST(SweepSpace, TheLastKeyChangesFastest) {
  EXPECT_EQ(points(space({{"kd.lambda", "0.1,1"}, {"tome.r", "0,8"}})),
            (Texts{"kd.lambda = 0.1, tome.r = 0", "kd.lambda = 0.1, tome.r = 8",
                   "kd.lambda = 1.0, tome.r = 0", "kd.lambda = 1.0, tome.r = 8"}));
}

TEST(SweepSpace, ZippedKeysGoForwardTogether) {
  const Space s = space({{"model.fstride", "10,16"}, {"tome.r", "0,8"}, {"model.tstride", "10,16"}},
                        {{"model.fstride", "model.tstride"}});
  EXPECT_EQ(s.dimensions.size(), 2U);
  EXPECT_EQ(s.size(), 4);
  EXPECT_EQ(points(s), (Texts{"model.fstride = 10, tome.r = 0, model.tstride = 10",
                              "model.fstride = 10, tome.r = 8, model.tstride = 10",
                              "model.fstride = 16, tome.r = 0, model.tstride = 16",
                              "model.fstride = 16, tome.r = 8, model.tstride = 16"}));
}

TEST(SweepSpace, MistakesAreNamed) {
  EXPECT_EQ(message({{"tome.rr", "0,8"}}),
            "--param tome.rr: there is no such key; did you mean 'tome.r'?");
  EXPECT_EQ(message({{"tome.r", "0,8"}, {"tome.r", "1"}}), "--param tome.r: given twice");
  EXPECT_EQ(
      message({{"experiment.seed", "0,1"}}),
      "--param experiment.seed: seeds are not swept; --seeds N makes N of them for each trial");
  EXPECT_EQ(message({{"kd.lambda", "uniform:0:1"}}),
            "kd.lambda=uniform:0:1 is a range to draw from: a grid needs values (a:b:step, x,y, "
            "lin, log); or "
            "choose --strategy random, sobol, tpe or asha with --trials N");
  EXPECT_EQ(message({{"tome.r", "0,8"}, {"kd.lambda", "0,0.5,1"}}, {{"tome.r", "kd.lambda"}}),
            "zip: tome.r has 2 values and kd.lambda has 3; zipped keys need equally many");
  EXPECT_EQ(message({{"tome.r", "0,8"}}, {{"tome.r", "kd.lambda"}}),
            "zip: 'kd.lambda' is not swept");
}

TEST(SweepSpace, PlacesBecomeValues) {
  const Space s = space({{"optimiser.lr", "loguniform:1e-5:1e-3"},
                         {"train.epochs", "int:1:4"},
                         {"tome.r", "0:64:8"}});
  const auto text = [&s](double a, double b, double c) {
    return point_text(s, point_at(s, std::vector<double>{a, b, c}));
  };
  EXPECT_EQ(text(0, 0, 0), "optimiser.lr = 1e-5, train.epochs = 1, tome.r = 0");
  EXPECT_EQ(text(0.5, 0.5, 0.5), "optimiser.lr = 1e-4, train.epochs = 3, tome.r = 32");
  EXPECT_EQ(text(0.999999, 0.999999, 0.999999),
            "optimiser.lr = 0.000999995, train.epochs = 4, tome.r = 64");
}

TEST(SweepSpace, EveryIntegerOfARangeIsEquallyWide) {
  const Space s = space({{"train.epochs", "int:1:4"}});
  std::map<std::string, int> counts;
  for (int i = 0; i < 400; ++i)
    ++counts[point_text(s, point_at(s, std::vector<double>{i / 400.0}))];
  EXPECT_EQ(counts.size(), 4U);
  for (const auto& [text, count] : counts) EXPECT_EQ(count, 100) << text;
}

TEST(SweepExclude, LeavesOutWhatAFilterHoldsFor) {
  const Space s = space({{"tome.r", "0:64:32"}, {"kd.lambda", "0.1,1"}});
  const Exclude exclude(s, {"tome.r>=32 and kd.lambda<0.5", "experiment.seed=2"});
  Texts left;
  for (const Point& point : grid(s)) {
    if (!exclude.holds(point, 0)) left.push_back(point_text(s, point));
    EXPECT_TRUE(exclude.holds(point, 2));
  }
  EXPECT_EQ(left, (Texts{"tome.r = 0, kd.lambda = 0.1", "tome.r = 0, kd.lambda = 1.0",
                         "tome.r = 32, kd.lambda = 1.0", "tome.r = 64, kd.lambda = 1.0"}));
}

TEST(SweepExclude, AKeyThatIsNotSweptIsAMistake) {
  const Space s = space({{"tome.r", "0,8"}});
  EXPECT_THROW(Exclude(s, {"tome.rr>3"}), Error);
}

}  // namespace
}  // namespace xp::sweeps
