// Many processes and kill -9: an output is made once, and made right, whoever dies when.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/graph/fakes.h"
#include "tests/testing/kill_at.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using testing::distillation;
using testing::FakeRecorder;
using testing::FakeRunner;
using testing::run_to_goal;
using xp::testing::kill_at;
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

// Kills the holder at a random moment of a whole run, again and again: before one of its calls that
// change files.
void kill_and_take_over(int kills, uint64_t seed) {
  const TempDir dir;
  const Cache undisturbed(dir / "undisturbed");
  const Graph graph = distillation(0.1);
  const std::string want = run_to_goal(graph, undisturbed);
  const Cache counted(dir / "counted");
  const auto whole = kill_at(0, [&] { run_to_goal(graph, counted); });
  if (!whole) GTEST_SKIP() << "processes cannot be traced here";
  ASSERT_EQ(whole->code, 0);
  ASSERT_GT(whole->calls, 50);

  std::mt19937_64 random(seed);
  int hit = 0;
  for (int i = 0; i < kills; ++i) {
    const Cache cache(dir / ("cache" + std::to_string(i)));
    const int fatal = std::uniform_int_distribution<int>(1, whole->calls)(random);
    hit += kill_at(fatal, [&] { run_to_goal(graph, cache); })->killed ? 1 : 0;
    SCOPED_TRACE("killed before call " + std::to_string(fatal));
    EXPECT_EQ(run_to_goal(graph, cache), want);
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
  std::printf("%d of %d kills met a run of %d calls\n", hit, kills, whole->calls);
  EXPECT_GE(hit, kills * 9 / 10);
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

// What happens on a disk that is full, told as text; "" when all is as it should be.
std::string on_a_small_disk(const fs::path& small) {
  const Cache cache(small / "cache");
  const Graph graph = distillation(0.1);
  FakeRunner runner;
  FakeRecorder recorder;
  const auto fill = [](const fs::path& file) {
    std::ofstream out(file);
    const std::string block(1024, 'x');
    for (int i = 0; i < 4000 && out; ++i) out << block << std::flush;
    return !out;
  };
  runner.at_step = [&](const Node& node, StageContext& context, int step) {
    if (node.name == "student" && step == 2 && fill(context.output / "large.bin")) {
      throw fs::filesystem_error("cannot write", std::error_code(ENOSPC, std::generic_category()));
    }
  };
  const Execution full = execute(make_plan(graph, cache, nullptr, {}), cache, runner, recorder, {});
  if (full.code() != Exit::kFailed) return "a full disk is not exit code 1";
  if (full.nodes[2].result != Result::kMade) return "what was made before is lost";
  if (cache.find("train", graph.nodes[3].key)) return "half an output was published";
  fs::remove(small / "cache" / "train" / (graph.nodes[3].key + ".partial") / "large.bin");
  if (run_to_goal(graph, cache).empty()) return "it does not go on once there is room";

  // The work fits, its manifest does not.
  const Graph other = distillation(0.9);
  runner.at_step = [&](const Node& node, StageContext&, int step) {
    if (node.name == "eval" && step == 3) fill(small / "ballast");
  };
  const Execution late = execute(make_plan(other, cache, nullptr, {}), cache, runner, recorder, {});
  if (late.code() != Exit::kFailed) return "an output was published without room for its manifest";
  if (cache.find("evaluate", other.nodes[4].key)) return "an output without a manifest was found";
  fs::remove(small / "ballast");
  return run_to_goal(other, cache).empty() ? "it does not go on after the second time" : "";
}

// A file system of 256 kB, in a mount namespace of the test's own.
TEST(CacheIntegration, DiskFullWhileWriting) {
  const TempDir dir;
  fs::create_directory(dir / "small");
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr int kNoNamespace = 2;
    const int spaces = ::getuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
    if (::unshare(spaces) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", (dir / "small").c_str(), "tmpfs", 0, "size=256k") != 0) {
      ::_exit(kNoNamespace);
    }
    std::string said;
    try {
      said = on_a_small_disk(dir / "small");
    } catch (const std::exception& error) {
      said = error.what();
    }
    std::ofstream(dir / "said") << said;
    ::_exit(0);
  }
  const int status = wait_for(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) GTEST_SKIP() << "no mount namespace here";
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(read_file(dir / "said"), "");
}

}  // namespace
}  // namespace xp::graph
