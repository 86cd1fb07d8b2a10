// Many processes and kill -9: an output is made once, and made right, whoever dies when.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/graph/fakes.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using testing::distillation;
using testing::FakeRecorder;
using testing::FakeRunner;
using testing::run_to_goal;
using xp::testing::TempDir;

// A line per step, appended by whoever does it: one write, so that lines of several processes do
// not mix.
void note(const fs::path& file, const std::string& line) {
  std::ofstream(file, std::ios::app) << line + "\n";
}

int count_lines(const fs::path& file, const std::string& start) {
  std::ifstream in(file);
  int count = 0;
  for (std::string line; std::getline(in, line);) count += line.starts_with(start) ? 1 : 0;
  return count;
}

// A process that runs the graph and leaves its exit code.
pid_t start(const Graph& graph, const Cache& cache, const fs::path& log,
            std::chrono::microseconds step_time) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  FakeRunner runner;
  FakeRecorder recorder;
  runner.at_step = [&](const Node& node, StageContext&, int step) {
    note(log, node.name + " " + std::to_string(step));
    std::this_thread::sleep_for(step_time);
  };
  int code = 99;
  try {
    code = static_cast<int>(
        execute(make_plan(graph, cache, nullptr, {}), cache, runner, recorder, {}).code());
  } catch (...) {
    code = 98;
  }
  ::_exit(code);
}

int wait_for(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(CacheIntegration, TenProcessesComputeOnce) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  std::vector<pid_t> children;
  for (int i = 0; i < 10; ++i) {
    children.push_back(start(graph, cache, dir / "log", std::chrono::milliseconds(5)));
  }
  for (const pid_t child : children) {
    const int status = wait_for(child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  for (const Node& node : graph.nodes) {
    EXPECT_EQ(count_lines(dir / "log", node.name + " "), 4)
        << node.name << " was made more than once";
  }
}

// Kills the holder at a random moment, again and again, and lets the last one end undisturbed.
void kill_and_take_over(int kills, uint64_t seed) {
  const TempDir dir;
  const Cache undisturbed(dir / "undisturbed");
  const Graph graph = distillation(0.1);
  const std::string want = run_to_goal(graph, undisturbed);

  std::mt19937_64 random(seed);
  int hit = 0;
  for (int i = 0; i < kills; ++i) {
    // A cache of its own for each kill: every moment of a whole run is as likely as another.
    const Cache cache(dir / ("cache" + std::to_string(i)));
    const pid_t child = start(graph, cache, dir / "log", std::chrono::microseconds(500));
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<int>(0, 30000)(random)));
    ::kill(child, SIGKILL);
    const int status = wait_for(child);
    hit += WIFSIGNALED(status) ? 1 : 0;
    EXPECT_EQ(run_to_goal(graph, cache), want) << "after kill " << i << " of seed " << seed;
    for (const Node& node : graph.nodes) {
      const auto manifest = cache.find(node.kind, node.key);
      ASSERT_TRUE(manifest) << node.name;
      EXPECT_EQ(cache.damage(*manifest, true), "");
      EXPECT_EQ(manifest->output_digest(), undisturbed.find(node.kind, node.key)->output_digest());
    }
    // Nothing unfinished stays behind.
    for (const auto& entry : fs::recursive_directory_iterator(cache.root())) {
      const std::string name = entry.path().filename().string();
      EXPECT_EQ(name.find(".tmp-"), std::string::npos) << entry.path();
      EXPECT_EQ(name.find(".partial"), std::string::npos) << entry.path();
    }
  }
  EXPECT_GT(hit, kills / 3) << "most children ended before they were killed";
}

TEST(CacheIntegration, KilledHolderIsTakenOver) { kill_and_take_over(5, 1); }

TEST(CacheStress, KilledHolderIsTakenOver) { kill_and_take_over(50, 2); }

TEST(CacheIntegration, WaiterTakesOverFromAKilledHolder) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  const pid_t first = start(graph, cache, dir / "log", std::chrono::seconds(60));
  while (count_lines(dir / "log", "prepare 0") == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const pid_t second = start(graph, cache, dir / "log", std::chrono::microseconds(0));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(count_lines(dir / "log", "prepare 0"), 1) << "the second one did not wait";
  ::kill(first, SIGKILL);
  wait_for(first);
  const int status = wait_for(second);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(count_lines(dir / "log", "prepare 0"), 2);
  EXPECT_TRUE(cache.find("evaluate", graph.nodes[4].key));
}

// A file system of 256 kB, in a mount namespace of the test's own.
TEST(CacheIntegration, DiskFullWhileWriting) {
  const TempDir dir;
  fs::create_directory(dir / "small");
  const std::string small = (dir / "small").string();
  const std::string probe =
      "unshare --mount --map-root-user true 2>/dev/null || unshare --mount true 2>/dev/null";
  if (std::system(probe.c_str()) != 0) GTEST_SKIP() << "no mount namespace here";
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const std::string inner =
      "mount -t tmpfs -o size=256k tmpfs " + small + " && XP_SMALL=" + small + " " + self +
      " --gtest_also_run_disabled_tests --gtest_filter=CacheIntegration.DISABLED_OnASmallDisk";
  const std::string privileged =
      "unshare --mount sh -c '" + inner + "' >" + (dir / "out").string() + " 2>&1";
  const std::string mapped =
      "unshare --mount --map-root-user sh -c '" + inner + "' >" + (dir / "out").string() + " 2>&1";
  if (std::system(privileged.c_str()) != 0 && std::system(mapped.c_str()) != 0) {
    const std::string said = read_file(dir / "out");
    if (said.find("[ RUN ") == std::string::npos) GTEST_SKIP() << "no tmpfs here: " << said;
    FAIL() << said;
  }
}

TEST(CacheIntegration, DISABLED_OnASmallDisk) {
  const char* small = std::getenv("XP_SMALL");
  ASSERT_NE(small, nullptr) << "run by DiskFullWhileWriting alone";
  const Cache cache(fs::path(small) / "cache");
  const Graph graph = distillation(0.1);
  FakeRunner runner;
  FakeRecorder recorder;
  const fs::path ballast = fs::path(small) / "ballast";
  runner.at_step = [&](const Node& node, StageContext& context, int step) {
    if (node.name != "student" || step != 2) return;
    std::ofstream out(context.output / "large.bin");
    const std::string block(4096, 'x');
    for (int i = 0; i < 1000 && out; ++i) out << block << std::flush;
    if (!out)
      throw fs::filesystem_error("cannot write", std::error_code(ENOSPC, std::generic_category()));
  };
  const Execution full = execute(make_plan(graph, cache, nullptr, {}), cache, runner, recorder, {});
  EXPECT_EQ(full.code(), Exit::kFailed);
  EXPECT_EQ(full.nodes[2].result, Result::kMade);
  EXPECT_EQ(full.nodes[3].result, Result::kFailed);
  EXPECT_FALSE(cache.find("train", graph.nodes[3].key));
  const fs::path partial = fs::path(small) / "cache" / "train" / (graph.nodes[3].key + ".partial");
  fs::remove(partial / "large.bin");
  EXPECT_FALSE(run_to_goal(graph, cache).empty()) << "goes on once there is room";

  // The manifest and the digests have no room: the output is complete, so the next one publishes
  // it.
  const Graph other = distillation(0.9);
  runner.at_step = [&](const Node& node, StageContext&, int step) {
    if (node.name != "eval" || step != 3) return;
    std::ofstream out(ballast);
    const std::string block(1024, 'x');
    for (int i = 0; i < 1000 && out; ++i) out << block << std::flush;
  };
  const Execution late = execute(make_plan(other, cache, nullptr, {}), cache, runner, recorder, {});
  EXPECT_EQ(late.code(), Exit::kFailed);
  EXPECT_FALSE(cache.find("evaluate", other.nodes[4].key));
  fs::remove(ballast);
  EXPECT_FALSE(run_to_goal(other, cache).empty());
}

}  // namespace
}  // namespace xp::graph
