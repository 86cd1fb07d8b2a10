// `exp run` and what looks after its runs: what is printed, --dry-run, --queue, --nodes, `exp gc`.
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
#include "core/run/run_execute.h"
#include "tests/run/pretended_run.h"
#include "tests/testing/put.h"
#include "tests/testing/shell.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Names;

class RunCommandTest : public testing::PretendedRun {
 protected:
  RunCommandTest() { session_.arguments = {"run", "recipe.toml"}; }

  /// As the command does it.
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

  Session session_;
  std::string printed_;
};

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

TEST_F(RunCommandTest, AQueuedRunKeepsThatItMayTakeAnyMemory) {
  const auto queued =
      testing::shell(fmt::format("cd '{}' && {}/exp run --queue --any-memory --json 2>/dev/null",
                                 dir_.path().string(), XP_BIN_DIR));
  const std::string uid = nlohmann::json::parse(queued.text)["queued"];
  const auto kept = nlohmann::json::parse(read_file(".exp/runs/" + uid + "/queue.json"));
  EXPECT_EQ(kept["flags"], nlohmann::json::array({"--any-memory"}));
}

TEST_F(RunCommandTest, ShowSaysWhatAnAttemptChanged) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind == "train") throw Error("out of luck", Exit::kFailed);
  };
  run();
  runner_.before = [](const graph::Node&, graph::StageContext&) {};
  arguments_.set = {"experiment.name=second", "train.workers=1"};
  EXPECT_EQ(run(), 0);
  ASSERT_EQ(runs().size(), 1U);
  const auto exp = [&](const std::string& command) {
    return testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir_.path().string(), XP_BIN_DIR, command));
  };
  EXPECT_NE(exp("show last").text.find("attempt 2: name pretend -> second\n"), std::string::npos)
      << exp("show last").text;
  const auto shown = nlohmann::json::parse(exp("show last --json").text);
  const auto attempts = query().detail(runs().front().uid).attempts;
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_TRUE(shown["attempts"][0]["changes"].empty());
  EXPECT_EQ(shown["attempts"][1]["changes"].size(), attempts[1].changes.size());
  EXPECT_EQ(shown["name"], "second");
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

// They decide how sums are rounded: a run without them cannot be made again bit for bit.
TEST_F(RunCommandTest, TheThreadsOfARunAreAFactOfIt) {
  ASSERT_EQ(run(), 0);
  EXPECT_EQ(query().detail(runs().front().uid).facts.at("run.threads"), "2") << "of exp.toml";
  const auto built = testing::shell(
      fmt::format("cd '{}' && NO_COLOR=1 {}/exp reproduce last", dir_.path().string(), XP_BIN_DIR));
  EXPECT_NE(built.text.find("exp run reproduced.toml --threads 2"), std::string::npos)
      << built.text;
}

}  // namespace
}  // namespace xp::cli
