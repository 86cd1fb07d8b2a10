// `exp sweep` with stages that only pretend: what is run once, what again, what failures do.
#include "core/cli/sweep.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/sweep_text.h"
#include "core/cli/sweep_work.h"
#include "core/graph/build.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "sweeps/propose.h"
#include "sweeps/work.h"
#include "tests/cli/pretend.h"
#include "tests/testing/shell.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using sweeps::TrialState;

constexpr const char* kSweptRecipe = R"(
experiment = { name = "pretend", seed = 3 }
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 9, batch_size = 8 }
optimiser.lr = 1e-3
tome.r = 2
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
[sweep]
params = { "tome.r" = "0:16:8" }
metric = "max:eval.mAP"
)";

class SweepTest : public PretendedWorkspace {
 protected:
  SweepTest() : PretendedWorkspace(kSweptRecipe) {
    session_.arguments = {"sweep"};
    runner_.together = true;
    runner_.report = [this](const auto& node, auto& context) { report(node, context); };
  }

  void report(const graph::Node& node, graph::StageContext& context) {
    if (node.kind == "train") {
      const auto metric =
          context.sink->metric("val.mAP", tracker::Unit::kFraction, tracker::Grain::kEpoch);
      const double lr = graph::options_of<schema::TrainStageOptions>(node).optimiser.lr;
      for (int epoch = 1; epoch <= 9; ++epoch) {
        context.sink->log(metric, epoch, lr * epoch);
        if (context.stop_requested() != StopReason::kNone) throw Stopped(context.stop_requested());
      }
    }
    if (node.kind == "evaluate") {
      const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
      context.sink->summary(
          "mAP", 0.5 - 0.01 * static_cast<double>(options.tome ? options.tome->r.value : 0),
          tracker::Unit::kFraction);
    }
  }

  // What `exp sweep` does before anything runs.
  sweeps::SweepDb store() {
    const run::Workspace workspace = run::run_workspace(arguments_.run, session_.workspace());
    DescribedSweep described = describe_sweep(arguments_, workspace, session_);
    SweepRecipes recipes(described.spec, workspace);
    notes_.clear();
    std::vector<sweeps::Trial> trials;
    if (described.spec.strategy == "grid") trials = grid_trials(described.spec, recipes, notes_);
    const auto earlier = earlier_sweep(workspace, described.spec.family);
    return sweeps::SweepDb::open(
        store_sweep(earlier, described.spec, trials, workspace.exp_folder() / "sweeps", 1));
  }
  // A worker in this process.
  size_t work(sweeps::SweepDb& db) {
    const sweeps::SweepSpec spec = db.spec();
    SweepRecipes recipes(spec, run::run_workspace(arguments_.run, session_.workspace()));
    StageTrials trials(spec, recipes, session_, runner_, {"libtorch=2.11.0"});
    const sweeps::Space space = sweeps::make_space(schema::language(), spec.params, spec.zip);
    sweeps::WorkOptions options;
    options.idle = [&] {
      if (!sweeps::proposes_more(db, spec)) return false;
      sweeps::propose(db, spec, space,
                      [&](const auto& v, uint64_t seed) { return recipes.make(v, seed); });
      return true;
    };
    return sweeps::work(db, trials, options);
  }
  size_t ran(const std::string& name) const {
    return static_cast<size_t>(std::count(runner_.ran.begin(), runner_.ran.end(), name));
  }
  std::string message() {
    try {
      store();
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }

  SweepArguments arguments_;
  Names notes_;
};

TEST_F(SweepTest, TrainsOnceAndEvaluatesTogether) {
  arguments_.params = {"tome.r=0:64:8"};
  sweeps::SweepDb db = store();
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
  for (const sweeps::Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.tries, 1);
    EXPECT_FALSE(trial.run.empty());
  }
}

TEST_F(SweepTest, TheSameCommandAgainRunsNothingAndAWiderOneWhatIsMissing) {
  arguments_.params = {"tome.r=0:64:8"};
  sweeps::SweepDb db = store();
  work(db);
  const size_t before = runner_.ran.size();
  sweeps::SweepDb again = store();
  EXPECT_EQ(again.folder(), db.folder());
  EXPECT_EQ(work(again), 0U);
  EXPECT_EQ(runner_.ran.size(), before);
  arguments_.params = {"tome.r=0:64:4"};
  sweeps::SweepDb wider = store();
  EXPECT_EQ(wider.folder(), db.folder());
  EXPECT_EQ(wider.counts().queued, 8);
  EXPECT_EQ(work(wider), 8U);
  EXPECT_EQ(ran("train"), 1U);
  EXPECT_EQ(ran("eval"), 17U);
  EXPECT_EQ(runs().size(), 17U);
}

TEST_F(SweepTest, TheRecipesOwnSweepIsTheDefault) {
  sweeps::SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 3);
  arguments_.seeds = 2;
  sweeps::SweepDb seeds = store();
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

TEST_F(SweepTest, ATrialsFailureIsItsOwn) {
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
    sweeps::SweepDb db = store();
    work(db);
    EXPECT_EQ(db.counts().done, 2);
    EXPECT_EQ(db.counts().failed, 1);
    const sweeps::Trial failed = db.trials(true)[1];
    EXPECT_EQ(failed.error, "no memory for r = 8\nand more");
    EXPECT_EQ(tracker::Query(dir_ / ".exp").run(failed.run).status, tracker::Status::kFailed);
    const std::string summary = sweep_summary(db.spec(), db.trials(true), true);
    EXPECT_NE(summary.find("best (selected on test): tome.r = 0: eval.mAP 0.5\n"),
              std::string::npos)
        << summary;
    EXPECT_NE(summary.find("trial 2 (tome.r = 8) failed: no memory for r = 8\n"), std::string::npos)
        << summary;
    // The same command leaves it; --retry failed does not, and goes on in its run.
    sweeps::SweepDb again = store();
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

TEST_F(SweepTest, ASharedStagesFailureIsToldOnceForAll) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "train") throw Error("diverged", Exit::kFailed);
  };
  sweeps::SweepDb db = store();
  work(db);
  EXPECT_EQ(db.counts().failed, 3);
  EXPECT_EQ(ran("train"), 1U) << "not tried again for each trial";
}

TEST_F(SweepTest, AStopGivesTrialsBackAndTheRunsGoOn) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "evaluate") {
      request_stop(StopReason::kPreempted);
      throw Stopped(StopReason::kPreempted);
    }
  };
  sweeps::SweepDb db = store();
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

TEST_F(SweepTest, AStoppedRunIsNotTriedAgainByItself) {
  std::string stopped;
  runner_.before = [&](const graph::Node& node, graph::StageContext& context) {
    if (node.kind != "evaluate" || !stopped.empty()) return;
    stopped = runs().back().uid;
    tracker::Store(dir_ / ".exp").stop(stopped);
    while (context.stop_requested() == StopReason::kNone)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    throw Stopped(context.stop_requested());
  };
  sweeps::SweepDb db = store();
  EXPECT_EQ(work(db), 3U);
  EXPECT_EQ(db.counts().done, 2) << "those of its bundle go on";
  EXPECT_EQ(db.counts().stopped, 1);
  for (const sweeps::Trial& trial : db.trials(true)) {
    if (trial.state != TrialState::kStopped) continue;
    EXPECT_EQ(trial.run, stopped);
    EXPECT_EQ(trial.error, "stopped by `exp stop`; --retry stopped goes on with it");
  }
  EXPECT_EQ(db.retry(TrialState::kStopped), 1U);
  EXPECT_EQ(work(db), 1U);
}

TEST_F(SweepTest, ARemovedRunIsRunAgain) {
  sweeps::SweepDb db = store();
  work(db);
  const std::string run = db.trials(true)[0].run;
  tracker::Store(dir_ / ".exp").remove(run);
  EXPECT_EQ(db.forget_removed([&](const std::string& other) { return other != run; }), 1U);
  EXPECT_EQ(work(db), 1U);
  EXPECT_EQ(ran("eval"), 3U) << "its stages are cached";
}

TEST_F(SweepTest, PointsThatAreTheSameExperimentComeOnce) {
  arguments_.params = {"tome.r=0,2", "tome.prop_attn=true,false"};
  arguments_.exclude = {"tome.r=2 and tome.prop_attn=true"};
  const sweeps::SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 3);
  EXPECT_EQ(notes_, (Names{"1 left out by exclude"}));
}

TEST_F(SweepTest, MistakesAreToldBeforeAnythingRuns) {
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

// The file's lr goes with its kind of optimiser: without a swept value there is none.
TEST_F(SweepTest, ARecipeThatNeedsItsSweptKeyIsSwept) {
  arguments_.params = {"optimiser.lr=1e-3,5e-3"};
  arguments_.run.set = {"optimiser.kind=sgd"};
  sweeps::SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 2);
  arguments_.params = {"optimiser.lr=5e-4,1e-3,5e-3"};
  EXPECT_EQ(store().folder(), db.folder()) << "wider, with another first value";
  EXPECT_EQ(db.counts().queued, 3);
  EXPECT_EQ(work(db), 3U);
  const auto shell = testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp sweeps resume last",
                                                dir_.path().string(), XP_BIN_DIR));
  EXPECT_EQ(shell.code, 0) << shell.text;
}

TEST_F(SweepTest, ASweepThatCannotBeReadHidesNoOther) {
  sweeps::SweepDb db = store();
  fs::create_directories(".exp/sweeps/7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  std::ofstream(".exp/sweeps/7ZZZZZZZZZZZZZZZZZZZZZZZZZ/sweep.db") << std::string(5000, 'x');
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir_.path().string(),
                                      XP_BIN_DIR, arguments));
  };
  for (const char* command : {"sweeps", "sweeps status", "sweeps status last", "sweeps --json"}) {
    const testing::Shell said = shell(command);
    EXPECT_EQ(said.code, 0) << said.text;
    EXPECT_NE(said.text.find("pretend"), std::string::npos) << said.text;
  }
  EXPECT_NE(shell("sweeps").text.find("cannot be read"), std::string::npos);
  EXPECT_EQ(shell("sweeps status 7ZZZZZZZ").code, 3);
}

// As in a workspace on a read-only disk: what its dead workers held stays as it is.
TEST_F(SweepTest, ASweepThatCannotBeWrittenIsShown) {
  sweeps::SweepDb db = store();
  tracker::ProcessId gone = tracker::this_process();
  gone.start -= 1;
  ASSERT_EQ(db.claim("worker", gone, 1).size(), 1U);
  fs::remove(db.folder() / "turn.lock");
  fs::create_directories(db.folder() / "turn.lock");  // nobody can lock it
  for (const char* command : {"sweeps", "sweeps status last"}) {
    const testing::Shell said = testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir_.path().string(), XP_BIN_DIR, command));
    EXPECT_EQ(said.code, 0) << said.text;
    EXPECT_NE(said.text.find("running"), std::string::npos) << said.text;
  }
}

TEST_F(SweepTest, ProposalsDoNotDependOnInterruptions) {
  arguments_.params = {"optimiser.lr=loguniform:1e-5:1e-1"};
  arguments_.strategy = "tpe";
  arguments_.trials = 14;
  const auto points = [](const sweeps::SweepDb& db) {
    Names out;
    for (const sweeps::Trial& trial : db.trials(false))
      out.push_back(sweeps::trial_text(trial, false));
    return out;
  };
  arguments_.metric = "max:train.val.mAP";
  sweeps::SweepDb whole = store();
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
  sweeps::SweepDb halves = store();
  EXPECT_EQ(work(halves), 11U);
  request_stop(StopReason::kNone);
  sweeps::SweepDb rest = store();
  EXPECT_EQ(work(rest), 3U);
  EXPECT_EQ(points(rest), expected);
}

TEST_F(SweepTest, AsksForNoMoreThanTheSpaceHas) {
  arguments_.params = {"tome.r=0:24:8"};
  arguments_.strategy = "random";
  arguments_.trials = 20;
  sweeps::SweepDb db = store();
  EXPECT_EQ(work(db), 4U);
  EXPECT_EQ(db.spec().trials, 4);
}

TEST_F(SweepTest, AshaEndsTrainingsThatAreBehind) {
  arguments_.run.set = {"dataset.val=val"};
  arguments_.params = {"optimiser.lr=loguniform:1e-5:1e-1"};
  arguments_.strategy = "asha";
  arguments_.metric = "max:train.val.mAP";
  arguments_.trials = 9;
  sweeps::SweepDb db = store();
  EXPECT_EQ(work(db), 9U);
  const sweeps::Counts counts = db.counts();
  EXPECT_EQ(counts.done + counts.stopped, 9);
  EXPECT_GE(counts.stopped, 4);
  EXPECT_GE(counts.done, 1);
  double best_stopped = 0, best_done = 0;
  for (const sweeps::Trial& trial : db.trials(true)) {
    const double lr = std::stod(trial.values[0].second);
    double& best = trial.state == TrialState::kDone ? best_done : best_stopped;
    best = std::max(best, lr);
    if (trial.state != TrialState::kStopped) continue;
    EXPECT_NE(trial.error.find("is not in the best 1/3 of the"), std::string::npos) << trial.error;
    EXPECT_EQ(tracker::Query(dir_ / ".exp").run(trial.run).status, tracker::Status::kInterrupted);
  }
  EXPECT_GT(best_done, best_stopped) << "here a larger lr is better";
}

TEST_F(SweepTest, ObjectivesOnTestAreKnown) {
  const run::Workspace workspace = run::run_workspace(arguments_.run, session_.workspace());
  const DescribedSweep described = describe_sweep(arguments_, workspace, session_);
  EXPECT_TRUE(measured_on_test(described.graph, sweeps::parse_objective("max:eval.mAP")));
  EXPECT_FALSE(measured_on_test(described.graph, sweeps::parse_objective("max:train.val.mAP")));
  arguments_.run.set = {"eval.split=val", "dataset.val=test"};
  const DescribedSweep other = describe_sweep(arguments_, workspace, session_);
  EXPECT_FALSE(measured_on_test(other.graph, sweeps::parse_objective("max:eval.mAP")));
  EXPECT_TRUE(measured_on_test(other.graph, sweeps::parse_objective("max:train.val.mAP")));
}

TEST_F(SweepTest, WhatAnEditOfTheRecipeDoes) {
  sweeps::SweepDb db = store();
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

TEST_F(SweepTest, WhatSeveralTrainingsShareComesFirstAndHasARunOfItsOwn) {
  arguments_.params = {"optimiser.lr=0.1,0.2"};
  sweeps::SweepDb db = store();
  const sweeps::SweepSpec spec = db.spec();
  SweepRecipes recipes(spec, run::run_workspace(arguments_.run, session_.workspace()));
  StageTrials trials(spec, recipes, session_, runner_, {});
  EXPECT_EQ(trials.make_shared(db.trials(true)), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare"}));
  ASSERT_EQ(runs().size(), 1U);
  EXPECT_EQ(runs()[0].name, "pretend-shared");
  EXPECT_EQ(runs()[0].sweep, "");
  work(db);
  EXPECT_EQ(ran("prepare"), 1U);
  EXPECT_EQ(ran("train"), 2U);
}

TEST_F(SweepTest, AKindKeyBesideASweptKeyDropsNoValueOfIt) {
  arguments_.params = {"averaging.decay=0.5,0.9", "averaging.kind=ema"};
  EXPECT_EQ(store().counts().queued, 2) << "one was taken for the other when the kind came last";
  EXPECT_TRUE(notes_.empty());
}

// Their threads would keep the cores from each other: trials took four to eight times as long.
TEST_F(SweepTest, WorkersAreStartedWithAShortSpin) {
  fs::copy_file(fs::path(XP_BIN_DIR) / "exp", dir_ / "exp");
  std::ofstream(dir_ / "exp-compute")
      << "#!/bin/sh\necho \"$1 $2 $GOMP_SPINCOUNT\" >> started.txt\nexit 4\n";
  fs::permissions(dir_ / "exp-compute", fs::perms::owner_all);
  const auto started = [&](const std::string& line) {
    fs::remove(dir_ / "started.txt");
    const testing::Shell result =
        testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}", dir_.path().string(), line));
    EXPECT_NE(result.text.find("workers cannot start"), std::string::npos) << result.text;
    const std::string text = read_file(dir_ / "started.txt");
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(started("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ./exp sweep"), "sweeps work 1000");
  EXPECT_EQ(started("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ./exp sweeps resume last"),
            "sweeps work 1000");
  EXPECT_EQ(started("env GOMP_SPINCOUNT=7 ./exp sweep"), "sweeps work 7") << "the user's stays";
}

TEST_F(SweepTest, AboveAThousandTrialsItAsks) {
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp sweep --dry-run {}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  };
  const std::string wide = "--param optimiser.lr=lin:1e-4:1e-3:1001";
  const testing::Shell refused = shell(wide);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.text, "error: 1001 trials; --yes if that is meant\n");
  EXPECT_EQ(shell("--param optimiser.lr=lin:1e-4:1e-3:334 --seeds 3").text,
            "error: 1002 trials; --yes if that is meant\n")
      << "seeds count";
  EXPECT_EQ(shell("--strategy random --trials 1001 --param optimiser.lr=uniform:1e-6:0.1").text,
            "error: 1001 trials; --yes if that is meant\n");
  const testing::Shell meant = shell(wide + " --yes");
  EXPECT_EQ(meant.code, 0);
  EXPECT_TRUE(meant.text.ends_with("1001 trials, 1001 to run\n"))
      << meant.text.substr(meant.text.size() - std::min<size_t>(200, meant.text.size()));
}

// What the command of the issue ends in: words, table and charts of r, on one page.
TEST_F(SweepTest, TheReportOfAFinishedSweepIsAPage) {
  arguments_.params = {"tome.r=0:64:8"};
  arguments_.objectives = {"max:eval.mAP", "max:eval.clips_per_s"};
  runner_.report = [](const graph::Node& node, graph::StageContext& context) {
    if (node.kind != "evaluate") return;
    const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
    const auto r = static_cast<double>(options.tome ? options.tome->r.value : 0);
    context.sink->summary("mAP", 0.5 - 0.00002 * r * r, tracker::Unit::kFraction);
    context.sink->summary("clips_per_s", 100 + 4 * r, tracker::Unit::kPerSecond);
  };
  sweeps::SweepDb db = store();
  EXPECT_EQ(work(db), 9U);
  const auto report = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp report {}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  };
  ASSERT_EQ(report("-o report.html").code, 0);
  const std::string page = read_file(dir_ / "report.html");
  for (const char* part :
       {"<h1", "sweep ", "tome.r = 8 is 1.32x faster than 0 at", "beyond 16 mAP falls off",
        "selected on test", "eval.mAP over tome.r", "Speed-up over tome.r", "mAP over throughput",
        "Pareto front", "<svg", "--remake FILE"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  for (int r = 0; r <= 64; r += 8)
    EXPECT_NE(page.find(fmt::format("tome.r = {}", r)), std::string::npos) << r;
  EXPECT_EQ(report("--remake report.html -o again.html").code, 0);
  EXPECT_EQ(read_file(dir_ / "again.html"), page);

  // Two keys: their interaction as well.
  arguments_.params = {"tome.r=0:16:8", "tome.inflection=-0.5,0,0.5"};
  sweeps::SweepDb two = store();
  EXPECT_EQ(work(two), 9U);
  ASSERT_EQ(report("-o two.html").code, 0);
  EXPECT_NE(read_file(dir_ / "two.html").find("mAP by "), std::string::npos);
}

}  // namespace
}  // namespace xp::cli
