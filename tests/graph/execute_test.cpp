#include "core/graph/execute.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/graph/fakes.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using testing::distillation;
using testing::fake_node;
using testing::FakeRecorder;
using testing::FakeRunner;
using testing::run_to_goal;
using xp::testing::TempDir;
using Names = std::vector<std::string>;

class Execute : public ::testing::Test {
 protected:
  Execution go(const Graph& graph, const PlanRequest& request = {}) {
    return execute(make_plan(graph, cache_, nullptr, request), cache_, runner_, recorder_,
                   options_);
  }
  fs::path out(const Graph& graph, size_t i) const {
    return cache_.folder(graph.nodes[i].kind, graph.nodes[i].key) / "out.txt";
  }

  TempDir dir_;
  Cache cache_{dir_ / "cache"};
  FakeRunner runner_;
  FakeRecorder recorder_;
  ExecuteOptions options_;
};

std::vector<Result> results(const Execution& done) {
  std::vector<Result> out;
  for (const NodeResult& node : done.nodes) out.push_back(node.result);
  return out;
}

TEST_F(Execute, InputsFirstThenEverythingCached) {
  const Execution done = go(distillation(0.1));
  EXPECT_EQ(runner_.ran(), (Names{"prepare", "teacher", "teach", "student", "eval"}));
  EXPECT_EQ(results(done), std::vector<Result>(5, Result::kMade));
  EXPECT_EQ(done.code(), Exit::kOk);
  EXPECT_EQ(done.nodes[4].manifest->metrics.at("mAP"), 0.5);
  const Names want = {"begin prepare", "publish prepare", "attach prepare made"};
  const Names lines = recorder_.lines();
  EXPECT_EQ(Names(lines.begin(), lines.begin() + 3), want);

  const Execution again = go(distillation(0.1));
  EXPECT_EQ(runner_.ran().size(), 5U);
  EXPECT_EQ(results(again), std::vector<Result>(5, Result::kCached));
}

TEST_F(Execute, AFailureKeepsWhatIsDone) {
  runner_.at_step = [](const Node& node, StageContext&, int) {
    if (node.name == "teach") throw Error("the disk is full", Exit::kFailed);
  };
  const Execution done = go(distillation(0.1));
  EXPECT_EQ(results(done), (std::vector<Result>{Result::kMade, Result::kMade, Result::kFailed,
                                                Result::kNotStarted, Result::kNotStarted}));
  EXPECT_EQ(done.code(), Exit::kFailed);
  EXPECT_EQ(done.nodes[2].error, "the disk is full");
  EXPECT_EQ(done.nodes[2].where, "stage teach");
  runner_.at_step = [](const Node&, StageContext&, int) {};
  go(distillation(0.1));
  EXPECT_EQ(runner_.ran(), (Names{"prepare", "teacher", "teach", "teach", "student", "eval"}));
}

TEST_F(Execute, ExitCodesOfFailures) {
  struct Case {
    const char* name;
    void (*fail)();
    Exit want;
  };
  const Case cases[] = {
      {"the user's data", [] { throw Error("broken", Exit::kData); }, Exit::kData},
      {"the file system",
       [] {
         throw fs::filesystem_error("no space", std::error_code(ENOSPC, std::generic_category()));
       },
       Exit::kFailed},
      {"memory", [] { throw std::bad_alloc(); }, Exit::kFailed},
      {"ours", [] { throw std::logic_error("bug"); }, Exit::kInternal},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    runner_.at_step = [&c](const Node&, StageContext&, int) { c.fail(); };
    EXPECT_EQ(go(distillation(0.1)).code(), c.want);
  }
}

TEST_F(Execute, StopKeepsThePartAndGoesOn) {
  for (const StopReason reason :
       {StopReason::kInterrupted, StopReason::kPreempted, StopReason::kRequested}) {
    const TempDir dir;
    const Cache cache(dir / "cache");
    FakeRunner runner;
    std::atomic<StopReason> asked{StopReason::kNone};
    runner.at_step = [&](const Node& node, StageContext& context, int step) {
      if (node.name == "teacher" && step == 2) asked = reason;
      if (context.stop_requested() != StopReason::kNone) throw Stopped(context.stop_requested());
    };
    ExecuteOptions options;
    options.stop_requested = [&] { return asked.load(); };
    const Graph graph = distillation(0.1);
    const Execution done =
        execute(make_plan(graph, cache, nullptr, {}), cache, runner, recorder_, options);
    EXPECT_EQ(results(done),
              (std::vector<Result>{Result::kMade, Result::kStopped, Result::kNotStarted,
                                   Result::kNotStarted, Result::kNotStarted}));
    EXPECT_EQ(done.stopped, reason);
    EXPECT_EQ(done.code(), exit_code(reason));

    asked = StopReason::kNone;
    std::vector<int> steps;
    bool resumed = false;
    runner.at_step = [&](const Node& node, StageContext& context, int step) {
      if (node.name != "teacher") return;
      steps.push_back(step);
      resumed = context.resumed;
    };
    const Plan plan = make_plan(graph, cache, nullptr, {});
    EXPECT_EQ(plan.steps[1].state, State::kResumes);
    EXPECT_EQ(execute(plan, cache, runner, recorder_, options).code(), Exit::kOk);
    EXPECT_EQ(steps, (std::vector<int>{2, 3}));
    EXPECT_TRUE(resumed);
    EXPECT_EQ(read_file(cache.folder("evaluate", graph.nodes[4].key) / "out.txt"),
              run_to_goal(graph, cache_));
  }
}

TEST_F(Execute, DamagedInputIsNamedAndMadeAgain) {
  const Graph graph = distillation(0.1);
  go(graph);
  const std::string whole = read_file(out(graph, 3));
  const std::string result = read_file(out(graph, 4));
  // The student is read by eval alone: harmed, it has to be found when eval needs it.
  fs::remove_all(out(graph, 4).parent_path());
  const auto time = fs::last_write_time(out(graph, 3));
  std::string harmed = whole;
  harmed[5] ^= 1;
  std::ofstream(out(graph, 3)) << harmed;
  fs::last_write_time(out(graph, 3), time);
  const Execution done = go(graph);
  EXPECT_EQ(done.code(), Exit::kOk);
  EXPECT_TRUE(recorder_.said(
      "say student: the cached output " + out(graph, 3).parent_path().string() +
      " is damaged: out.txt: its content does not match its digest; it is made again"));
  EXPECT_EQ(read_file(out(graph, 3)), whole);
  EXPECT_EQ(read_file(out(graph, 4)), result);
  EXPECT_EQ(done.nodes[3].result, Result::kMade);
  EXPECT_EQ(done.nodes[1].result, Result::kCached);
}

TEST_F(Execute, DamagedGoalIsMadeAgain) {
  const Graph graph = distillation(0.1);
  go(graph);
  const std::string result = read_file(out(graph, 4));
  std::ofstream(out(graph, 4), std::ios::app) << "x";
  fs::resize_file(out(graph, 4), result.size());
  std::string harmed = result;
  harmed[0] ^= 1;
  std::ofstream(out(graph, 4)) << harmed;
  go(graph);
  EXPECT_TRUE(recorder_.said("say eval: the cached output"));
  EXPECT_EQ(read_file(out(graph, 4)), result);
}

TEST_F(Execute, DamagedInputWhoseOwnInputsAreGone) {
  const Graph graph = distillation(0.1);
  go(graph);
  const std::string result = read_file(out(graph, 4));
  fs::remove_all(out(graph, 4).parent_path());
  fs::remove_all(dir_ / "cache" / "teach");
  std::ofstream(out(graph, 3)) << "wrong";
  // Plan and execution apart, as when the file breaks in between.
  const Plan plan = make_plan(graph, cache_, nullptr, {});
  EXPECT_EQ(execute(plan, cache_, runner_, recorder_, options_).code(), Exit::kOk);
  EXPECT_EQ(read_file(out(graph, 4)), result);
}

TEST_F(Execute, ForceMakesAnewWithWhatFollows) {
  go(distillation(0.1));
  PlanRequest force;
  force.force = {"teach"};
  const Execution done = go(distillation(0.1), force);
  EXPECT_EQ(runner_.ran(),
            (Names{"prepare", "teacher", "teach", "student", "eval", "teach", "student", "eval"}));
  EXPECT_EQ(done.code(), Exit::kOk);
}

TEST_F(Execute, IndependentStagesRunAtOnce) {
  Graph graph;
  for (int i = 0; i < 4; ++i) {
    graph.nodes.push_back(
        fake_node("train@" + std::to_string(i), "train", "fold = " + std::to_string(i) + "\n"));
  }
  graph.nodes.push_back(fake_node("mean", "aggregate", "", {0, 1, 2, 3}));
  graph.goals = {4};
  set_keys(graph);
  std::atomic<int> now{0}, most{0};
  std::mutex mutex;
  std::set<std::string> devices;
  runner_.at_step = [&](const Node& node, StageContext& context, int step) {
    if (node.kind != "train" || step != 0) return;
    const int together = ++now;
    int seen = most;
    while (seen < together && !most.compare_exchange_weak(seen, together)) {
    }
    EXPECT_EQ(context.resources.threads, 4);
    EXPECT_EQ(context.resources.devices.size(), 1U);
    {
      const std::lock_guard lock(mutex);
      devices.insert(context.resources.devices[0]);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    --now;
  };
  options_.at_once = 2;
  options_.resources.threads = 8;
  options_.resources.devices = {"gpu:0", "gpu:1"};
  EXPECT_EQ(go(graph).code(), Exit::kOk);
  EXPECT_EQ(most, 2);
  EXPECT_EQ(devices, (std::set<std::string>{"gpu:0", "gpu:1"}));
  EXPECT_EQ(runner_.ran().back(), "mean");
}

TEST_F(Execute, AFailureLetsTheOthersFinish) {
  Graph graph;
  graph.nodes = {fake_node("bad", "train", "a = 1\n"), fake_node("good", "train", "a = 2\n"),
                 fake_node("later", "train", "a = 3\n")};
  graph.goals = {0, 1, 2};
  set_keys(graph);
  std::atomic<bool> begun{false}, failed{false};
  const auto wait_for = [](const std::atomic<bool>& flag) {
    while (!flag) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  runner_.at_step = [&](const Node& node, StageContext&, int) {
    if (node.name == "bad") {
      wait_for(begun);  // what has not begun is not started after a failure
      failed = true;
      throw Error("diverged", Exit::kFailed);
    }
    begun = true;
    wait_for(failed);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  options_.at_once = 2;
  const Execution done = go(graph);
  EXPECT_EQ(results(done),
            (std::vector<Result>{Result::kFailed, Result::kMade, Result::kNotStarted}));
}

// Nine values of r over one checkpoint go through one call.
class ManyRunner : public FakeRunner {
 public:
  bool runs_many(std::string_view kind) const override { return kind == "evaluate"; }
  void run_many(std::span<const Node* const> nodes,
                std::span<StageContext* const> contexts) override {
    groups.push_back(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) run(*nodes[i], *contexts[i]);
  }
  std::vector<size_t> groups;
};

TEST_F(Execute, RunManyTakesPendingNodesOfEqualInputs) {
  Graph graph;
  graph.nodes = {fake_node("train", "train", "a = 1\n"), fake_node("other", "train", "a = 2\n")};
  for (int r = 0; r <= 64; r += 8) {
    graph.nodes.push_back(
        fake_node("eval@" + std::to_string(r), "evaluate", "r = " + std::to_string(r) + "\n", {0}));
  }
  graph.nodes.push_back(fake_node("eval_other", "evaluate", "r = 0\n", {1}));
  for (size_t i = 2; i < graph.nodes.size(); ++i) graph.goals.push_back(i);
  set_keys(graph);
  ManyRunner runner;
  const Plan plan = make_plan(graph, cache_, nullptr, {});
  EXPECT_EQ(execute(plan, cache_, runner, recorder_, options_).code(), Exit::kOk);
  EXPECT_EQ(runner.groups, (std::vector<size_t>{9}));
  EXPECT_EQ(runner.ran().size(), graph.nodes.size());
  for (const Node& node : graph.nodes) EXPECT_TRUE(cache_.find(node.kind, node.key));
}

TEST_F(Execute, EqualStagesAreMadeOnce) {
  Graph graph;
  graph.nodes = {fake_node("one", "train", "a = 1\n"), fake_node("two", "train", "a = 1\n"),
                 fake_node("eval", "evaluate", "", {0, 1})};
  graph.goals = {2};
  set_keys(graph);
  options_.at_once = 2;
  EXPECT_EQ(go(graph).code(), Exit::kOk);
  EXPECT_EQ(runner_.ran().size(), 2U);
}

TEST_F(Execute, CheckLeavesTheCacheAlone) {
  const Graph graph = distillation(0.1);
  options_.depth = Depth::kCheck;
  EXPECT_EQ(go(graph).code(), Exit::kOk);
  EXPECT_EQ(runner_.ran().size(), 5U);
  EXPECT_FALSE(cache_.find("evaluate", graph.nodes[4].key));
  EXPECT_TRUE(fs::is_empty(dir_ / "cache"));
  // What is cached is used.
  options_.depth = Depth::kFull;
  PlanRequest until;
  until.until = "teach";
  go(graph, until);
  options_.depth = Depth::kCheck;
  runner_.at_step = [](const Node&, StageContext& context, int) {
    EXPECT_EQ(context.depth, Depth::kCheck);
  };
  EXPECT_EQ(go(graph).code(), Exit::kOk);
  EXPECT_EQ(runner_.ran().size(), 5U + 3U + 2U);
}

TEST_F(Execute, OverfitKeepsTheShards) {
  const Graph graph = distillation(0.1);
  options_.depth = Depth::kOverfit;
  options_.overfit_clips = 8;
  runner_.at_step = [](const Node&, StageContext& context, int) {
    EXPECT_EQ(context.overfit_clips, 8);
  };
  EXPECT_EQ(go(graph).code(), Exit::kOk);
  EXPECT_TRUE(cache_.find("prepare", graph.nodes[0].key));
  EXPECT_FALSE(cache_.find("train", graph.nodes[1].key));
}

TEST_F(Execute, UnfinishedAtomicStageLeavesNothing) {
  runner_.at_step = [](const Node& node, StageContext&, int step) {
    if (node.name == "eval" && step == 2) throw Error("no", Exit::kFailed);
  };
  const Graph graph = distillation(0.1);
  go(graph);
  for (const auto& entry : fs::directory_iterator(dir_ / "cache" / "evaluate")) {
    EXPECT_EQ(entry.path().extension(), ".lock") << entry.path();
  }
}

}  // namespace
}  // namespace xp::graph
