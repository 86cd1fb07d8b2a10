// Carrying a planned run out, with stages that only pretend: the tracker, going on, failures.
#include "core/run/run_execute.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/run/pretended_run.h"
#include "tests/testing/shell.h"
#include "tracker/run_sink.h"

namespace xp::run {
namespace {

namespace fs = std::filesystem;
using testing::Names;

class RunExecute : public testing::PretendedRun {};

TEST_F(RunExecute, RunsAndRecords) {
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare", "train", "eval"}));
  ASSERT_EQ(runs().size(), 1U);
  const tracker::RunInfo info = runs()[0];
  EXPECT_EQ(info.name, "pretend");
  EXPECT_EQ(info.status, tracker::Status::kDone);
  EXPECT_EQ(info.tags, Names{"small"});
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(tracker::to_text(info.params.at("tome.r")), "2");
  EXPECT_EQ(tracker::to_text(info.params.at("stages.train.with.tome.r")), "0");
  EXPECT_EQ(tracker::to_text(info.params.at("experiment.seed")), "3");
  EXPECT_EQ(tracker::to_text(info.params.at("tome.prop_attn")), "true") << "defaults as well";
  EXPECT_EQ(info.params.count("pretrain.masked"), 0U) << "no stage reads it";
  EXPECT_EQ(info.metrics.at("eval.mAP").last, 0.5);
  EXPECT_EQ(info.metrics.at("train.train.loss").n, 3);
  const tracker::RunDetail detail = query().detail(info.uid);
  EXPECT_NE(detail.sources.at("tome.r").find("recipe.toml:8:"), std::string::npos)
      << detail.sources.at("tome.r");
  EXPECT_EQ(detail.sources.at("tome.prop_attn"), "default");
  EXPECT_EQ(detail.stages.size(), 3U);
}

TEST_F(RunExecute, RequireCleanWantsEverythingCommitted) {
  arguments_.set = {"experiment.require_clean=true"};
  const auto refusal = [&]() -> std::string {
    try {
      run();
    } catch (const Error& error) {
      return error.message();
    }
    return "it ran";
  };
  EXPECT_NE(refusal().find("is not under git"), std::string::npos) << refusal();
  const auto made = testing::shell(
      "git init -q . && git add . && git -c user.name=t -c user.email=t@t commit -q -m one");
  if (made.code != 0) GTEST_SKIP() << "no git here: " << made.text;
  EXPECT_EQ(refusal(), "it ran");
  EXPECT_EQ(testing::shell("git status --porcelain").text, "") << "what a run writes is ignored";
  std::ofstream("recipe.toml", std::ios::app) << "# changed\n";
  EXPECT_NE(refusal().find("has uncommitted changes"), std::string::npos) << refusal();
  EXPECT_EQ(runs().size(), 1U);
}

TEST_F(RunExecute, ASecondRunUsesTheCacheAndHasItsNumbers) {
  run();
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran.size(), 3U);
  ASSERT_EQ(runs().size(), 2U) << "a run that ended well is not gone on with";
  for (const tracker::RunInfo& info : runs()) {
    EXPECT_EQ(info.status, tracker::Status::kDone);
    EXPECT_EQ(info.metrics.at("eval.mAP").last, 0.5);
  }
  const std::string first = runs()[1].uid, second = runs()[0].uid;
  EXPECT_FALSE(query().curve(first, "train.train.loss").reused);
  EXPECT_TRUE(query().curve(second, "train.train.loss").reused);
  EXPECT_EQ(query().curve(second, "train.train.loss").points.size(), 3U);
}

TEST_F(RunExecute, NewStartsAnother) {
  runner_.before = [](const graph::Node&, graph::StageContext&) {
    throw Error("no", Exit::kFailed);
  };
  run();
  arguments_.fresh = true;
  run();
  EXPECT_EQ(runs().size(), 2U);
}

TEST_F(RunExecute, ARunMayComeFromAnother) {
  run();
  const std::string parent = runs()[0].uid;
  arguments_.fresh = true;
  arguments_.parent = "last";
  EXPECT_EQ(run(), 0);
  const auto children = query().runs({.filter = "parent=" + parent});
  ASSERT_EQ(children.size(), 1U);
  EXPECT_EQ(children[0].uid, runs()[0].uid);
  EXPECT_NE(children[0].uid, parent);
  arguments_.parent = "nobody";
  EXPECT_THROW(run(), Error);
}

TEST_F(RunExecute, StopSignalsGiveTheirExitCodes) {
  struct Case {
    StopReason reason;
    int code;
    tracker::Status status;
  };
  const Case cases[] = {{StopReason::kInterrupted, 130, tracker::Status::kInterrupted},
                        {StopReason::kPreempted, 75, tracker::Status::kPreempted}};
  for (const Case& c : cases) {
    runner_.before = [&c](const graph::Node& node, graph::StageContext& context) {
      if (node.kind != "train") return;
      request_stop(c.reason);
      throw Stopped(context.stop_requested());
    };
    EXPECT_EQ(run(), c.code);
    request_stop(StopReason::kNone);
    EXPECT_EQ(runs()[0].status, c.status);
  }
  EXPECT_EQ(runs().size(), 1U) << "the second was an attempt of the first";
}

TEST_F(RunExecute, CheckAndOverfitLeaveNoRun) {
  arguments_.check = true;
  EXPECT_EQ(run(), 0);
  arguments_.check = false;
  arguments_.overfit = 8;
  runner_.before = [](const graph::Node&, graph::StageContext& context) {
    EXPECT_EQ(context.overfit_clips, 8);
  };
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(ended_, (Names{"", ""}));
  EXPECT_FALSE(fs::exists(".exp/runs") && !fs::is_empty(".exp/runs"));
  EXPECT_FALSE(fs::exists(".exp/cache/train"));
}

TEST_F(RunExecute, AWorkspaceThatCannotBeWrittenIsOneError) {
  const fs::path exp = load_workspace(find_workspace()).exp_folder();
  std::ofstream(exp) << "a file in its place";
  for (const bool check : {false, true}) {
    arguments_.check = check;
    try {
      run();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kFailed);
      EXPECT_EQ(error.message(),
                "cannot make the folder " + (exp / "cache").string() + ": Not a directory");
    }
    EXPECT_TRUE(ended_.empty());
    EXPECT_TRUE(runner_.ran.empty());
  }
}

TEST_F(RunExecute, UntilMakesOnlyWhatIsNeeded) {
  arguments_.request.until = "train";
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare", "train"}));
}

// What the tracker cannot keep ends no run: docs/tracker.md.
TEST_F(RunExecute, ARunWhoseUsesCannotBeWrittenGoesOn) {
  fs::create_directories(".exp/cache/gc.lock");  // nobody can lock it
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), 0);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("`exp gc` may take outputs away"), std::string::npos) << said;
  EXPECT_EQ(runs().front().status, tracker::Status::kDone);
}

// `rm -rf .exp/runs` under a run: the work is done, but nobody will find it.
TEST_F(RunExecute, ARunWhoseFolderIsRemovedSaysSo) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "evaluate") fs::remove_all(".exp/runs");
  };
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), static_cast<int>(Exit::kFailed));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("run.db was removed or replaced while the run went on"), std::string::npos)
      << said;
  runner_.before = [](const graph::Node&, graph::StageContext&) {};
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran.size(), 3U) << "its stages are in the cache";
}

// A stage without [optimiser] has no learning rate of its own.
TEST_F(RunExecute, ParametersAreOfSectionsThatTheStageReads) {
  ASSERT_EQ(run(), 0);
  const auto params = runs().front().params;
  EXPECT_TRUE(params.contains("optimiser.lr"));
  for (const auto& [key, value] : params)
    EXPECT_FALSE(key.starts_with("stages.eval.with.optimiser.")) << key;
}

// What an edit changes that is no result: nothing runs again.
TEST_F(RunExecute, EditsOfCommentsAndOrderRunNothing) {
  ASSERT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare", "train", "eval"}));
  std::ofstream("recipe.toml") << R"(# another order, other comments
stages.eval = { checkpoint = "${stages.train.last}", do = "evaluate" }
stages.train = { with = { tome.r = 0 }, do = "train" }   # the same
[optimiser]
lr = 0.001
[tome]
r = 2
[train]
batch_size = 8
epochs = 1
[model]
arch = "ast-nano"
[frontend]
frames = 128
kind = "kaldi"
[dataset]
classes = 4
name = "synthetic"
clips = 40
[experiment]
seed = 3
name = "another name"
notes = "a label is no result either"
)";
  runner_.ran.clear();
  ASSERT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, Names{});
}

}  // namespace
}  // namespace xp::run
