#include "sweeps/sweep_describe.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/sweeps/pretended_sweep.h"

namespace xp::sweeps {
namespace {

namespace fs = std::filesystem;
using testing::Names;

class DescribeSweep : public testing::PretendedSweep {};

TEST_F(DescribeSweep, TheRecipesOwnSweepIsTheDefault) {
  SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 3);
  arguments_.seeds = 2;
  SweepDb seeds = store();
  EXPECT_EQ(seeds.folder(), db.folder());
  EXPECT_EQ(seeds.counts().queued, 6);
  work(seeds);
  EXPECT_EQ(ran("train"), 2U) << "one for each seed";
  EXPECT_EQ(runner_.groups, (std::vector<size_t>{3, 3}));
  std::set<std::string> used;
  for (const tracker::RunInfo& run : runs())
    used.insert(tracker::to_text(run.params.at("experiment.seed")));
  EXPECT_EQ(used, (std::set<std::string>{"3", "4"}));
}

TEST_F(DescribeSweep, PointsThatAreTheSameExperimentComeOnce) {
  arguments_.params = {"tome.r=0,2", "tome.prop_attn=true,false"};
  arguments_.exclude = {"tome.r=2 and tome.prop_attn=true"};
  const SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 3);
  EXPECT_EQ(notes_, (Names{"1 left out by exclude"}));
}

TEST_F(DescribeSweep, MistakesAreToldBeforeAnythingRuns) {
  arguments_.params = {"tome.q=1,2"};
  EXPECT_EQ(message(), "--param tome.q: there is no such key; did you mean 'tome.r'?");
  arguments_.params = {"kd.lambda=0,1"};
  EXPECT_NE(message().find("kd.lambda"), std::string::npos);
  arguments_.params = {"tome.r"};
  EXPECT_EQ(message(), "--param tome.r: expected KEY=SPEC, as in --param tome.r=0:64:8");
  arguments_.params = {"optimiser.lr=loguniform:1e-5:1e-3"};
  arguments_.strategy = "tpe";
  EXPECT_EQ(message(), "--strategy tpe needs --trials N: it would go on for ever");
  arguments_.strategy = "asha";
  arguments_.trials = 4;
  EXPECT_EQ(
      message(),
      "--strategy asha stops trials by what they reach epoch by epoch: eval.mAP has no epochs; "
      "--metric max:TRAIN_STAGE.val.METRIC has (with a validation split)");
  arguments_.metric = "eval.mAP";
  EXPECT_EQ(message(),
            "--metric eval.mAP: expected max:STAGE.METRIC or min:STAGE.METRIC, as in max:eval.mAP");
  arguments_.metric = "max:evall.mAP";
  EXPECT_EQ(message(),
            "--metric max:evall.mAP: the recipe has no stage 'evall'; did you mean 'eval'?");
  arguments_.metric = "max:eval.mAPP";
  EXPECT_EQ(message(),
            "--metric max:eval.mAPP: a stage that does 'evaluate' gives no metric 'mAPP'; did you "
            "mean 'eval.mAP'?");
  EXPECT_TRUE(runner_.ran.empty());
}

TEST_F(DescribeSweep, ObjectivesOnTestAreKnown) {
  const run::Workspace workspace = run::run_workspace(arguments_.run, run::find_workspace());
  const DescribedSweep described = describe_sweep(arguments_, workspace, {"exp", "sweep"});
  EXPECT_TRUE(measured_on_test(described.graph, parse_objective("max:eval.mAP")));
  EXPECT_FALSE(measured_on_test(described.graph, parse_objective("max:train.val.mAP")));
  arguments_.run.set = {"eval.split=val", "dataset.val=test"};
  const DescribedSweep other = describe_sweep(arguments_, workspace, {"exp", "sweep"});
  EXPECT_FALSE(measured_on_test(other.graph, parse_objective("max:eval.mAP")));
  EXPECT_TRUE(measured_on_test(other.graph, parse_objective("max:train.val.mAP")));
}

TEST_F(DescribeSweep, WhatAnEditOfTheRecipeDoes) {
  SweepDb db = store();
  // A comment is no other experiment; another value is.
  std::ofstream("recipe.toml", std::ios::app) << "# a comment\n";
  EXPECT_EQ(store().folder(), db.folder());
  std::ofstream("recipe.toml", std::ios::app) << "[averaging]\nkind = \"ema\"\n";
  EXPECT_NE(store().folder(), db.folder());
  // A worker takes the recipe as it was.
  std::ofstream("recipe.toml") << "nonsense";
  EXPECT_EQ(work(db), 3U);
  EXPECT_EQ(db.counts().done, 3);
}

TEST_F(DescribeSweep, AKindKeyBesideASweptKeyDropsNoValueOfIt) {
  arguments_.params = {"averaging.decay=0.5,0.9", "averaging.kind=ema"};
  EXPECT_EQ(store().counts().queued, 2) << "one was taken for the other when the kind came last";
  EXPECT_TRUE(notes_.empty());
}

}  // namespace
}  // namespace xp::sweeps
