// `exp run` with stages that only pretend: planning, the tracker, going on, the summary.
#include "core/cli/run.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/arguments.h"
#include "core/run/plan_memory.h"
#include "core/run/run_execute.h"
#include "core/run/workspace.h"
#include "tests/cli/pretend.h"
#include "tests/testing/put.h"
#include "tests/testing/shell.h"
#include "tracker/run_sink.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPretendedRecipe = R"(
experiment = { name = "pretend", tags = ["small"], seed = 3 }
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 1, batch_size = 8 }
optimiser.lr = 1e-3
tome.r = 2
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
)";

void report(const graph::Node& node, graph::StageContext& context) {
  if (node.kind == "train") {
    const auto loss = context.sink->metric("train.loss", tracker::Unit::kNone);
    for (int step = 1; step <= 3; ++step) context.sink->log(loss, step, 1.0 / step);
  }
  if (node.kind == "evaluate") {
    context.sink->summary("mAP", 0.5, tracker::Unit::kFraction);
    context.sink->summary("mAP_lo", 0.4512, tracker::Unit::kFraction);
    context.sink->summary("mAP_hi", 0.5544, tracker::Unit::kFraction);
  }
}

class RunCommandTest : public PretendedWorkspace {
 protected:
  RunCommandTest() : PretendedWorkspace(kPretendedRecipe) {
    session_.arguments = {"run", "recipe.toml"};
    runner_.report = report;
  }

  int run() {
    ::testing::internal::CaptureStdout();
    int code = -1;
    try {
      code =
          run::execute_run(arguments_, run::plan_run(arguments_, session_.workspace()),
                           session_.argv(), runner_, {"libtorch=2.11.0"}, tell_outcome(session_));
    } catch (...) {
      printed_ = ::testing::internal::GetCapturedStdout();
      throw;
    }
    printed_ = ::testing::internal::GetCapturedStdout();
    return code;
  }

  run::RunArguments arguments_;
  std::string printed_;
};

TEST_F(RunCommandTest, RunsAndRecords) {
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

TEST_F(RunCommandTest, RequireCleanWantsEverythingCommitted) {
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

TEST_F(RunCommandTest, SummarySaysWhatCameOut) {
  run();
  EXPECT_NE(printed_.find("mAP 0.5 [0.4512, 0.5544]"), std::string::npos) << printed_;
  const std::string uid = runs()[0].uid;
  EXPECT_TRUE(printed_.ends_with("look further: exp show " + uid + ", or exp report " + uid + "\n"))
      << printed_;
  session_.json = true;
  arguments_.fresh = true;
  run();
  const auto result = nlohmann::json::parse(printed_);
  EXPECT_EQ(result["code"], 0);
  EXPECT_EQ(result["stages"][2]["result"], "cached");
  EXPECT_EQ(result["stages"][2]["metrics"]["mAP"], 0.5);
}

TEST_F(RunCommandTest, ASecondRunUsesTheCacheAndHasItsNumbers) {
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

TEST_F(RunCommandTest, AFailedRunGoesOnAsItsNextAttempt) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "evaluate") throw Error("out of luck", Exit::kFailed);
  };
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), 1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("error: stage eval failed: out of luck\n"), std::string::npos) << said;
  EXPECT_EQ(printed_.find("out of luck"), std::string::npos) << "once, not twice: " << printed_;
  EXPECT_NE(printed_.find("what is done is kept; the same command goes on from here\n"),
            std::string::npos)
      << printed_;
  EXPECT_EQ(runs()[0].status, tracker::Status::kFailed);
  EXPECT_EQ(runs()[0].error, "out of luck");
  EXPECT_EQ(runs()[0].where, "stage eval");
  runner_.before = [](const graph::Node&, graph::StageContext&) {};
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare", "train", "eval", "eval"}));
  ASSERT_EQ(runs().size(), 1U);
  EXPECT_EQ(runs()[0].attempts, 2);
  EXPECT_EQ(runs()[0].status, tracker::Status::kDone);
  EXPECT_EQ(runs()[0].metrics.at("train.train.loss").n, 3);
}

TEST_F(RunCommandTest, NewStartsAnother) {
  runner_.before = [](const graph::Node&, graph::StageContext&) {
    throw Error("no", Exit::kFailed);
  };
  run();
  arguments_.fresh = true;
  run();
  EXPECT_EQ(runs().size(), 2U);
}

TEST_F(RunCommandTest, ARunMayComeFromAnother) {
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

TEST_F(RunCommandTest, StopSignalsGiveTheirExitCodes) {
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

TEST_F(RunCommandTest, CheckAndOverfitLeaveNoRun) {
  arguments_.check = true;
  EXPECT_EQ(run(), 0);
  arguments_.check = false;
  arguments_.overfit = 8;
  runner_.before = [](const graph::Node&, graph::StageContext& context) {
    EXPECT_EQ(context.overfit_clips, 8);
  };
  EXPECT_EQ(run(), 0);
  EXPECT_FALSE(fs::exists(".exp/runs") && !fs::is_empty(".exp/runs"));
  EXPECT_FALSE(fs::exists(".exp/cache/train"));
}

TEST_F(RunCommandTest, AWorkspaceThatCannotBeWrittenIsOneError) {
  const fs::path exp = run::load_workspace(session_.workspace()).exp_folder();
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
    EXPECT_EQ(printed_, "");
    EXPECT_TRUE(runner_.ran.empty());
  }
}

TEST_F(RunCommandTest, AFailedCheckKeepsNothing) {
  arguments_.check = true;
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "train") throw Error("out of luck", Exit::kFailed);
  };
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), 1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("out of luck"), std::string::npos) << said;
  EXPECT_EQ(printed_.find("what is done is kept"), std::string::npos) << printed_;
}

TEST_F(RunCommandTest, UntilMakesOnlyWhatIsNeeded) {
  arguments_.request.until = "train";
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(runner_.ran, (Names{"prepare", "train"}));
}

TEST_F(RunCommandTest, GcKeepsWhatRunsUse) {
  run();
  EXPECT_EQ(
      testing::shell(fmt::format("cd '{}' && {}/exp gc", dir_.path().string(), XP_BIN_DIR)).text,
      "removed: 0 B in 0 items\n");
  fs::remove_all(".exp/runs/" + runs().front().uid);
  const std::string said =
      testing::shell(fmt::format("cd '{}' && {}/exp gc", dir_.path().string(), XP_BIN_DIR)).text;
  EXPECT_NE(said.find("made for stage train\n"), std::string::npos) << said;
  EXPECT_NE(said.find(" in 3 items, in the trash for 7 days"), std::string::npos) << said;
  EXPECT_FALSE(fs::is_empty(".exp/cache/trash"));
  const auto now =
      testing::shell(fmt::format("cd '{}' && {}/exp gc --now", dir_.path().string(), XP_BIN_DIR));
  EXPECT_EQ(now.code, 0) << now.text;
  EXPECT_TRUE(fs::is_empty(".exp/cache/trash"));
  run();
  EXPECT_EQ(runner_.ran.size(), 6U);
}

// `exp gc` where the cache is set to a folder of something else, by either way.
TEST_F(RunCommandTest, GcOfAFolderThatIsNoCacheRemovesNothing) {
  const fs::path sound = testing::put(dir_ / "data/train/dog/a.wav", "woof");
  const auto gc = [&](const std::string& before) {
    return testing::shell(
        fmt::format("cd '{}' && {} {}/exp gc", dir_.path().string(), before, XP_BIN_DIR));
  };
  const auto by_variable = gc("EXP_CACHE=data");
  std::ofstream("exp.toml", std::ios::app) << "cache = \"data\"\n";
  const auto by_file = gc("");
  for (const auto& said : {by_variable, by_file}) {
    EXPECT_EQ(said.code, static_cast<int>(Exit::kUsage));
    EXPECT_NE(said.text.find("exp gc --adopt"), std::string::npos) << said.text;
  }
  EXPECT_EQ(run(), 0) << "it may be used all the same";
  EXPECT_EQ(gc("").code, static_cast<int>(Exit::kUsage));
  fs::remove_all(".exp/runs/" + runs().front().uid);
  const auto adopted = testing::shell(
      fmt::format("cd '{}' && {}/exp gc --adopt --now", dir_.path().string(), XP_BIN_DIR));
  EXPECT_EQ(adopted.code, 0) << adopted.text;
  EXPECT_NE(adopted.text.find(" in 3 items\n"), std::string::npos) << adopted.text;
  EXPECT_EQ(read_file(sound), "woof");
}

TEST_F(RunCommandTest, DryRunSaysWhatAndWhy) {
  run();
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(
        fmt::format("cd '{}' && {}/exp {} -q", dir_.path().string(), XP_BIN_DIR, arguments));
  };
  const auto same = shell("run --dry-run");
  EXPECT_EQ(same.code, 0);
  EXPECT_EQ(same.text.find("will run"), std::string::npos) << same.text;
  const auto changed = shell("run --dry-run --set tome.r=4");
  EXPECT_NE(changed.text.find("eval     evaluate  will run"), std::string::npos) << changed.text;
  EXPECT_NE(changed.text.find("tome.r 2 -> 4\n"), std::string::npos) << changed.text;
  EXPECT_EQ(changed.text, shell("recipe plan --set tome.r=4").text);
}

TEST_F(RunCommandTest, QueueKeepsTheRecipeAsItWas) {
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(
        fmt::format("cd '{}' && {}/exp {} -q", dir_.path().string(), XP_BIN_DIR, arguments));
  };
  EXPECT_EQ(shell("queue").text, "the queue is empty\n");
  const auto queued = shell("run --queue --until train --set tome.r=6");
  EXPECT_EQ(queued.code, 0) << queued.text;
  ASSERT_EQ(runs().size(), 1U);
  const std::string uid = runs()[0].uid;
  EXPECT_EQ(queued.text, "queued as " + uid + "; `exp queue` works it off\n");
  EXPECT_EQ(runs()[0].status, tracker::Status::kQueued);
  EXPECT_EQ(read_file(dir_ / ".exp/runs" / uid / "queue.json"),
            "{\"flags\":[\"--until\",\"train\"]}\n");
  std::ofstream("recipe.toml") << "edited since";
  arguments_.recipe = (dir_ / ".exp/runs" / uid / "queued.toml").string();
  arguments_.run = uid;
  EXPECT_EQ(run(), 0);
  ASSERT_EQ(runs().size(), 1U);
  EXPECT_EQ(runs()[0].status, tracker::Status::kDone);
  EXPECT_EQ(tracker::to_text(runs()[0].params.at("tome.r")), "6");
  EXPECT_EQ(shell("queue").text, "the queue is empty\n");
}

// Sets a variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST_F(RunCommandTest, NodesBecomeASlurmStep) {
  fs::create_directories("bin");
  std::ofstream("bin/srun") << "#!/bin/sh\necho \"$@\"\n";
  fs::permissions("bin/srun", fs::perms::owner_all);
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{0}' && PATH='{0}'/bin:$PATH {1}/exp {2}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  };
  EXPECT_EQ(shell("run recipe.toml --nodes 2 --devices 8 --set tome.r=4").text,
            fmt::format("--nodes=2 --ntasks-per-node=8 --job-name=exp --kill-on-bad-exit=1 "
                        "--gpus-per-node=8 {}/exp run recipe.toml --devices 8 --set tome.r=4\n",
                        XP_BIN_DIR));
  EXPECT_EQ(shell("run --nodes=3 --devices cpu:2").text,
            fmt::format("--nodes=3 --ntasks-per-node=2 --job-name=exp --kill-on-bad-exit=1 "
                        "{}/exp run --devices cpu:2\n",
                        XP_BIN_DIR));
  EXPECT_EQ(shell("run --nodes 2").text,
            "error: --nodes with --devices not given: expected how many devices a node has, as in "
            "--devices 8 (GPUs) or cpu:4\n");
  const auto faulty = shell("run --nodes 2 --devices 8 --set tome.r=-1");
  EXPECT_EQ(faulty.code, 2);
  EXPECT_NE(faulty.text.find("tome.r"), std::string::npos) << faulty.text;
  EXPECT_FALSE(fs::exists(".exp"));
}

TEST_F(RunCommandTest, RanksOfALauncherDoNotPlan) {
  const Variable rank("RANK", "1"), world("WORLD_SIZE", "2");
  const auto command =
      std::find_if(commands().begin(), commands().end(), [](const CommandEntry& entry) {
        return entry.name == std::string("run");
      })->make();
  CommandLine line("exp run", "", "");
  Arguments declared = line.arguments();
  command->declare(declared);
  ASSERT_TRUE(line.parse({"no_such_recipe.toml"}));  // nobody looks for it
  EXPECT_EQ(command->run(session_), Command::kContinue);
  EXPECT_FALSE(fs::exists(".exp"));
}

// What the tracker cannot keep ends no run: docs/tracker.md.
TEST_F(RunCommandTest, ARunWhoseUsesCannotBeWrittenGoesOn) {
  fs::create_directories(".exp/cache/gc.lock");  // nobody can lock it
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), 0);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("`exp gc` may take outputs away"), std::string::npos) << said;
  EXPECT_EQ(runs().front().status, tracker::Status::kDone);
}

// `rm -rf .exp/runs` under a run: the work is done, but nobody will find it.
TEST_F(RunCommandTest, ARunWhoseFolderIsRemovedSaysSo) {
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

TEST_F(RunCommandTest, ATrainingThatNeedsMoreMemoryThanThereIsIsRefused) {
  const auto refusal = [&](uint64_t there) -> std::string {
    try {
      run::check_memory(run::plan_run(arguments_, session_.workspace()), there);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  const std::string said = refusal(1u << 20);
  EXPECT_EQ(said.find("stage train needs at least "), 0U) << said;
  EXPECT_NE(said.find("for 8 clips at a time"), std::string::npos) << said;
  EXPECT_NE(said.find("--any-memory"), std::string::npos) << said;
  EXPECT_EQ(refusal(uint64_t{1} << 40), "");
  EXPECT_NE(run::memory_text(run::plan_run(arguments_, session_.workspace()))
                .find("train needs at least "),
            std::string::npos);
  arguments_.any_memory = true;
  EXPECT_EQ(refusal(1), "");
  arguments_.any_memory = false;
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(refusal(1), "") << "what is cached needs none";
}

TEST_F(RunCommandTest, AQueuedRunKeepsThatItMayTakeAnyMemory) {
  const auto queued =
      testing::shell(fmt::format("cd '{}' && {}/exp run --queue --any-memory --json 2>/dev/null",
                                 dir_.path().string(), XP_BIN_DIR));
  const std::string uid = nlohmann::json::parse(queued.text)["queued"];
  const auto kept = nlohmann::json::parse(read_file(".exp/runs/" + uid + "/queue.json"));
  EXPECT_EQ(kept["flags"], nlohmann::json::array({"--any-memory"}));
}

TEST_F(RunCommandTest, FailuresAreJsonWhereThatIsAskedFor) {
  session_.json = true;
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "evaluate") throw Error("out of luck", Exit::kData);
  };
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(), static_cast<int>(Exit::kData));
  const std::string said = ::testing::internal::GetCapturedStderr();
  const size_t begin = said.find("{\"error\"");
  ASSERT_NE(begin, std::string::npos) << said;
  const auto error = nlohmann::json::parse(said.substr(begin, said.find('\n', begin) - begin));
  EXPECT_EQ(error["error"]["message"], "stage eval failed: out of luck");
  EXPECT_EQ(error["error"]["code"], static_cast<int>(Exit::kData));
  EXPECT_TRUE(nlohmann::json::parse(printed_).is_object()) << printed_;
}

// A stage without [optimiser] has no learning rate of its own.
TEST_F(RunCommandTest, ParametersAreOfSectionsThatTheStageReads) {
  ASSERT_EQ(run(), 0);
  const auto params = runs().front().params;
  EXPECT_TRUE(params.contains("optimiser.lr"));
  for (const auto& [key, value] : params)
    EXPECT_FALSE(key.starts_with("stages.eval.with.optimiser.")) << key;
}

// They decide how sums are rounded: a run without them cannot be made again bit for bit.
TEST_F(RunCommandTest, TheThreadsOfARunAreAFactOfIt) {
  ASSERT_EQ(run(), 0);
  EXPECT_EQ(query().detail(runs().front().uid).facts.at("run.threads"), "2") << "of exp.toml";
  const auto built = testing::shell(
      fmt::format("cd '{}' && NO_COLOR=1 {}/exp reproduce last", dir_.path().string(), XP_BIN_DIR));
  EXPECT_NE(built.text.find("exp run reproduced.toml --threads 2"), std::string::npos)
      << built.text;
}

// What an edit changes that is no result: nothing runs again.
TEST_F(RunCommandTest, EditsOfCommentsAndOrderRunNothing) {
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

TEST(WorkspaceFile, FaultsAreShownWithTheirPlace) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"[runtime]\nthreds = 2\n",
       "exp.toml:2:1: unknown key 'threds' in [runtime]; did you mean 'threads'?\n  threds = 2\n  "
       "^"},
      {"[runtime]\nthreads = 0\n", "runtime.threads must be an integer of at least 1"},
      {"default_recipe = 3\n", "default_recipe must be a string"},
      {"colour = \"red\"\n",
       "unknown key 'colour'; exp.toml has default_recipe, [runtime] and [executor]"},
      {"[data]\nroot = \"sounds\"\n",
       "unknown key 'data'; exp.toml has default_recipe, [runtime] and [executor]"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const testing::TempDir dir;
    std::ofstream(dir / "exp.toml") << c.text;
    const auto said = testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp gc", dir.path().string(), XP_BIN_DIR));
    EXPECT_EQ(said.code, 2);
    EXPECT_NE(said.text.find(c.want), std::string::npos) << said.text;
  }
}

TEST(WorkspaceFile, Devices) {
  EXPECT_EQ(run::parse_devices(""), Names{});
  EXPECT_EQ(run::parse_devices("cpu"), Names{"cpu"});
  EXPECT_EQ(run::parse_devices("cpu:2"), (Names{"cpu:0", "cpu:1"}));
  for (const char* text :
       {"x", "cpu:", "cpu:0", "gpu:", "gpu:a", "-1", "0", "gpu:1000", "cpu:2,3"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(run::parse_devices(text), Error);
  }
}

}  // namespace
}  // namespace xp::cli
