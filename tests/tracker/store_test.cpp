#include "tracker/store.h"

#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"
#include "tracker/query.h"

namespace xp::tracker {
namespace {

RunOptions quiet() {
  RunOptions options;
  options.provenance = false;
  options.system = std::chrono::milliseconds(0);
  return options;
}

NewRun sample(const std::string& name, int64_t r) {
  NewRun run;
  run.name = name;
  run.recipe_hash = "hash-" + name;
  run.params = {{"tome.r", r, "--set"},
                {"optimiser.lr", 2.5e-4, "kd.toml:3:1"},
                {"kd.enabled", true, "default"},
                {"model.arch", std::string("ast-nano"), "default"},
                {"optimiser.betas", Json{"[0.9,0.999]"}, "default"}};
  run.tags = {"kd"};
  run.argv = {"exp", "run", "kd.toml"};
  return run;
}

TEST(Store, RunIsCreatedLoggedToFinishedListedAndShown) {
  const testing::TempDir dir;
  Store store(dir / ".exp");
  auto run = store.create(sample("first", 16), quiet());
  auto stage = run->begin_stage("train", "train", "abc", {});
  const MetricId loss = stage->metric("train.loss", Unit::kNone);
  for (int step = 1; step <= 1000; ++step) stage->log(loss, step, 1.0 / step);
  stage->log(stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch), 1, 0.3);
  stage->summary("mAP", 0.45, Unit::kFraction);
  stage->finished(Outcome::kDone, "");
  run->finish(Outcome::kDone, "", "", 0);
  EXPECT_FALSE(run->losses().any());

  Query query(dir / ".exp");
  const auto runs = query.runs({.filter = "status=done and tome.r>=16 and train.mAP>0.4"});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].uid, run->uid());
  EXPECT_EQ(runs[0].status, Status::kDone);
  EXPECT_EQ(runs[0].tags, std::vector<std::string>{"kd"});
  EXPECT_EQ(runs[0].params.at("tome.r"), Value(int64_t{16}));
  EXPECT_EQ(runs[0].params.at("optimiser.betas"), Value(Json{"[0.9,0.999]"}));
  EXPECT_EQ(runs[0].metrics.at("train.mAP").last, 0.45);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").n, 1000);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").min, 0.001);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").last_step, 1000);

  const Curve curve = query.curve(run->uid(), "train.train.loss");
  ASSERT_EQ(curve.points.size(), 1000u);
  EXPECT_EQ(curve.points[499].value, 1.0 / 500);
  const RunDetail detail = query.detail(run->uid());
  ASSERT_EQ(detail.attempts.size(), 1u);
  EXPECT_EQ(detail.attempts[0].status, Status::kDone);
  EXPECT_EQ(detail.stages.at(0).state, "done");
  EXPECT_EQ(detail.argv, (std::vector<std::string>{"exp", "run", "kd.toml"}));
  EXPECT_EQ(query.find("last"), run->uid());
  EXPECT_EQ(query.find("first"), run->uid());
}

}  // namespace
}  // namespace xp::tracker
