// Trials with stages that only pretend: what is run once, what again, what failures do.
#include "sweeps/sweep_work.h"

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

class StageTrialsTest : public testing::PretendedSweep {};

TEST_F(StageTrialsTest, TrainsOnceAndEvaluatesTogether) {
  arguments_.params = {"tome.r=0:64:8"};
  SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 9);
  EXPECT_EQ(work(db), 9U);
  EXPECT_EQ(ran("train"), 1U);
  EXPECT_EQ(runner_.groups, (std::vector<size_t>{9}));
  ASSERT_EQ(runs().size(), 9U);
  std::set<std::string> values;
  for (const tracker::RunInfo& run : runs()) {
    EXPECT_EQ(run.status, tracker::Status::kDone);
    EXPECT_EQ(run.sweep, db.spec().id);
    EXPECT_EQ(run.recipe_path, "recipe.toml");
    EXPECT_EQ(run.metrics.count("train.val.mAP"), 1U) << "the shared stage's curve is every run's";
    EXPECT_EQ(query().detail(run.uid).facts.at("run.threads"), "2");
    values.insert(tracker::to_text(run.params.at("tome.r")) + "/" +
                  fmt::format("{:.2f}", run.metrics.at("eval.mAP").last));
  }
  EXPECT_EQ(values.count("0/0.50"), 1U);
  EXPECT_EQ(values.count("64/-0.14"), 1U);
  for (const Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.tries, 1);
    EXPECT_FALSE(trial.run.empty());
  }
}

TEST_F(StageTrialsTest, TheSameCommandAgainRunsNothingAndAWiderOneWhatIsMissing) {
  arguments_.params = {"tome.r=0:64:8"};
  SweepDb db = store();
  work(db);
  const size_t before = runner_.ran.size();
  SweepDb again = store();
  EXPECT_EQ(again.folder(), db.folder());
  EXPECT_EQ(work(again), 0U);
  EXPECT_EQ(runner_.ran.size(), before);
  arguments_.params = {"tome.r=0:64:4"};
  SweepDb wider = store();
  EXPECT_EQ(wider.folder(), db.folder());
  EXPECT_EQ(wider.counts().queued, 8);
  EXPECT_EQ(work(wider), 8U);
  EXPECT_EQ(ran("train"), 1U);
  EXPECT_EQ(ran("eval"), 17U);
  EXPECT_EQ(runs().size(), 17U);
}

TEST_F(StageTrialsTest, ATrialsFailureIsItsOwn) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind != "evaluate") return;
    const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
    if (options.tome && options.tome->r.value == 8)
      throw Error("no memory for r = 8\nand more", Exit::kFailed);
  };
  for (const bool together : {true, false}) {
    SCOPED_TRACE(together);
    runner_.together = together;
    arguments_.run.set = {fmt::format("optimiser.lr={}", together ? 0.1 : 0.2)};
    SweepDb db = store();
    work(db);
    EXPECT_EQ(db.counts().done, 2);
    EXPECT_EQ(db.counts().failed, 1);
    const Trial failed = db.trials(true)[1];
    EXPECT_EQ(failed.error, "no memory for r = 8\nand more");
    EXPECT_EQ(tracker::Query(dir_ / ".exp").run(failed.run).status, tracker::Status::kFailed);
    // The same command leaves it; --retry failed does not, and goes on in its run.
    SweepDb again = store();
    EXPECT_EQ(again.counts().queued, 0);
    EXPECT_EQ(again.retry(TrialState::kFailed), 1U);
    const auto keep = runner_.before;
    runner_.before = [](const graph::Node&, graph::StageContext&) {};
    EXPECT_EQ(work(again), 1U);
    EXPECT_EQ(again.counts().done, 3);
    EXPECT_EQ(again.trials(true)[1].run, failed.run);
    runner_.before = keep;
  }
}

TEST_F(StageTrialsTest, ASharedStagesFailureIsToldOnceForAll) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "train") throw Error("diverged", Exit::kFailed);
  };
  SweepDb db = store();
  work(db);
  EXPECT_EQ(db.counts().failed, 3);
  EXPECT_EQ(ran("train"), 1U) << "not tried again for each trial";
}

TEST_F(StageTrialsTest, AStopGivesTrialsBackAndTheRunsGoOn) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "evaluate") {
      request_stop(StopReason::kPreempted);
      throw Stopped(StopReason::kPreempted);
    }
  };
  SweepDb db = store();
  EXPECT_EQ(work(db), 0U);
  EXPECT_EQ(db.counts().queued, 3);
  for (const tracker::RunInfo& run : runs()) EXPECT_EQ(run.status, tracker::Status::kPreempted);
  request_stop(StopReason::kNone);
  runner_.before = [](const graph::Node&, graph::StageContext&) {};
  EXPECT_EQ(work(db), 3U);
  ASSERT_EQ(runs().size(), 3U) << "the same runs, another attempt";
  for (const tracker::RunInfo& run : runs()) {
    EXPECT_EQ(run.status, tracker::Status::kDone);
    EXPECT_EQ(run.attempts, 2);
  }
}

TEST_F(StageTrialsTest, AStoppedRunIsNotTriedAgainByItself) {
  std::string stopped;
  runner_.before = [&](const graph::Node& node, graph::StageContext& context) {
    if (node.kind != "evaluate" || !stopped.empty()) return;
    stopped = runs().back().uid;
    tracker::Store(dir_ / ".exp").stop(stopped);
    while (context.stop_requested() == StopReason::kNone)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    throw Stopped(context.stop_requested());
  };
  SweepDb db = store();
  EXPECT_EQ(work(db), 3U);
  EXPECT_EQ(db.counts().done, 2) << "those of its bundle go on";
  EXPECT_EQ(db.counts().stopped, 1);
  for (const Trial& trial : db.trials(true)) {
    if (trial.state != TrialState::kStopped) continue;
    EXPECT_EQ(trial.run, stopped);
    EXPECT_EQ(trial.error, "stopped by `exp stop`; --retry stopped goes on with it");
  }
  EXPECT_EQ(db.retry(TrialState::kStopped), 1U);
  EXPECT_EQ(work(db), 1U);
}

TEST_F(StageTrialsTest, ARemovedRunIsRunAgain) {
  SweepDb db = store();
  work(db);
  const std::string run = db.trials(true)[0].run;
  tracker::Store(dir_ / ".exp").remove(run);
  EXPECT_EQ(db.forget_removed([&](const std::string& other) { return other != run; }), 1U);
  EXPECT_EQ(work(db), 1U);
  EXPECT_EQ(ran("eval"), 3U) << "its stages are cached";
}

TEST_F(StageTrialsTest, ProposalsDoNotDependOnInterruptions) {
  arguments_.params = {"optimiser.lr=loguniform:1e-5:1e-1"};
  arguments_.strategy = "tpe";
  arguments_.trials = 14;
  const auto points = [](const SweepDb& db) {
    Names out;
    for (const Trial& trial : db.trials(false)) out.push_back(trial_text(trial, false));
    return out;
  };
  arguments_.metric = "max:train.val.mAP";
  SweepDb whole = store();
  EXPECT_EQ(work(whole), 14U);
  EXPECT_EQ(whole.trials(true)[0].metrics.count("train.val.mAP"), 1U);
  const Names expected = points(whole);
  fs::remove_all(dir_ / ".exp");
  int trainings = 0;
  runner_.before = [&trainings](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "train" && ++trainings == 12) {
      request_stop(StopReason::kInterrupted);
      throw Stopped(StopReason::kInterrupted);
    }
  };
  SweepDb halves = store();
  EXPECT_EQ(work(halves), 11U);
  request_stop(StopReason::kNone);
  SweepDb rest = store();
  EXPECT_EQ(work(rest), 3U);
  EXPECT_EQ(points(rest), expected);
}

TEST_F(StageTrialsTest, AsksForNoMoreThanTheSpaceHas) {
  arguments_.params = {"tome.r=0:24:8"};
  arguments_.strategy = "random";
  arguments_.trials = 20;
  SweepDb db = store();
  EXPECT_EQ(work(db), 4U);
  EXPECT_EQ(db.spec().trials, 4);
}

TEST_F(StageTrialsTest, AshaEndsTrainingsThatAreBehind) {
  arguments_.run.set = {"dataset.val=val"};
  arguments_.params = {"optimiser.lr=loguniform:1e-5:1e-1"};
  arguments_.strategy = "asha";
  arguments_.metric = "max:train.val.mAP";
  arguments_.trials = 9;
  SweepDb db = store();
  EXPECT_EQ(work(db), 9U);
  const Counts counts = db.counts();
  EXPECT_EQ(counts.done + counts.stopped, 9);
  EXPECT_GE(counts.stopped, 4);
  EXPECT_GE(counts.done, 1);
  double best_stopped = 0, best_done = 0;
  for (const Trial& trial : db.trials(true)) {
    const double lr = std::stod(trial.values[0].second);
    double& best = trial.state == TrialState::kDone ? best_done : best_stopped;
    best = std::max(best, lr);
    if (trial.state != TrialState::kStopped) continue;
    EXPECT_NE(trial.error.find("is not in the best 1/3 of the"), std::string::npos) << trial.error;
    EXPECT_EQ(tracker::Query(dir_ / ".exp").run(trial.run).status, tracker::Status::kInterrupted);
  }
  EXPECT_GT(best_done, best_stopped) << "here a larger lr is better";
}

TEST_F(StageTrialsTest, WhatSeveralTrainingsShareComesFirstAndHasARunOfItsOwn) {
  arguments_.params = {"optimiser.lr=0.1,0.2"};
  SweepDb db = store();
  const SweepSpec spec = db.spec();
  SweepRecipes recipes(spec, run::run_workspace(arguments_.run, run::find_workspace()));
  StageTrials trials(spec, recipes, {"exp", "sweep"}, runner_, {});
  EXPECT_EQ(trials.make_shared(db.trials(true)), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare"}));
  ASSERT_EQ(runs().size(), 1U);
  EXPECT_EQ(runs()[0].name, "pretend-shared");
  EXPECT_EQ(runs()[0].sweep, "");
  work(db);
  EXPECT_EQ(ran("prepare"), 1U);
  EXPECT_EQ(ran("train"), 2U);
}

}  // namespace
}  // namespace xp::sweeps
