#include "core/graph/uses.h"

#include <algorithm>
#include <atomic>
#include <chrono>
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
using testing::run_to_goal;
using xp::testing::TempDir;

class Gc : public ::testing::Test {
 protected:
  std::vector<std::string> collect(bool remove) {
    std::vector<std::string> out;
    for (const Garbage& item : collect_garbage(cache_, dir_ / "runs", remove)) {
      out.push_back(item.what.substr(0, item.what.find(' ')) +
                    item.what.substr(item.what.find(',')));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  bool there(const Graph& graph, size_t i) {
    return cache_.find(graph.nodes[i].kind, graph.nodes[i].key).has_value();
  }

  TempDir dir_;
  Cache cache_{dir_ / "cache"};
};

using Names = std::vector<std::string>;

TEST_F(Gc, RemovesWhatNoRunRefersTo) {
  const Graph kept = distillation(0.1), lost = distillation(0.9);
  run_to_goal(kept, cache_);
  run_to_goal(lost, cache_);
  record_uses(kept, dir_ / "runs" / "A", cache_);
  const Names want = {"evaluate, made for stage eval", "train, made for stage student"};
  EXPECT_EQ(collect(false), want);
  EXPECT_TRUE(there(lost, 4)) << "a dry run removes nothing";
  EXPECT_EQ(collect(true), want);
  EXPECT_FALSE(there(lost, 3));
  EXPECT_FALSE(there(lost, 4));
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(kept, i));
  EXPECT_EQ(collect(true), Names{});
  fs::remove_all(dir_ / "runs" / "A");
  EXPECT_EQ(collect(true).size(), 5U);
  for (const auto& entry : fs::recursive_directory_iterator(dir_ / "cache")) {
    EXPECT_TRUE(entry.is_directory() || entry.path().extension() == ".lock") << entry.path();
  }
}

TEST_F(Gc, EarlierAttemptsCount) {
  const Graph first = distillation(0.1), second = distillation(0.9);
  run_to_goal(first, cache_);
  run_to_goal(second, cache_);
  record_uses(first, dir_ / "runs" / "A", cache_);
  record_uses(second, dir_ / "runs" / "A", cache_);
  EXPECT_EQ(collect(true), Names{});
}

TEST_F(Gc, LeavesWhatIsBeingMade) {
  Wanted wanted;
  wanted.kind = "train";
  wanted.key = "0123";
  auto claim = cache_.claim(
      wanted, false, [](const Holder&) { return true; }, [](const std::string&) {});
  std::ofstream(claim->output() / "half") << "half";
  EXPECT_EQ(collect(true), Names{});
  EXPECT_TRUE(fs::exists(claim->output()));
}

TEST_F(Gc, UnfinishedWorkOfAUsedStageStays) {
  const Graph graph = distillation(0.1);
  record_uses(graph, dir_ / "runs" / "A", cache_);
  fs::create_directories(dir_ / "cache" / "train" / (graph.nodes[3].key + ".partial"));
  fs::create_directories(dir_ / "cache" / "train" / "4567.partial");
  fs::create_directories(dir_ / "cache" / "train" / (graph.nodes[3].key + ".corrupt-X"));
  EXPECT_EQ(collect(true), (Names{"train, damaged", "train, unfinished"}));
  EXPECT_TRUE(fs::exists(dir_ / "cache" / "train" / (graph.nodes[3].key + ".partial")));
}

TEST_F(Gc, BrokenListOfUsesStopsIt) {
  run_to_goal(distillation(0.1), cache_);
  fs::create_directories(dir_ / "runs" / "A");
  std::ofstream(dir_ / "runs" / "A" / "stages.json") << "{";
  try {
    collect(true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(
        error.message(),
        (dir_ / "runs" / "A" / "stages.json").string() +
            ": cannot be read, so nobody knows what this run uses; remove the run (exp rm) or "
            "the file");
  }
}

// Runs that begin while garbage is removed lose nothing.
TEST(GcIntegration, RunsBesideGc) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const std::string want = run_to_goal(distillation(0.1), Cache(dir / "other"));
  std::atomic<bool> stop{false};
  std::thread gc([&] {
    while (!stop) {
      collect_garbage(cache, dir / "runs", true);
      std::this_thread::sleep_for(
          std::chrono::milliseconds(20));  // let the other one have the lock
    }
  });
  for (int i = 0; i < 10; ++i) {
    const Graph graph = distillation(0.1);
    record_uses(graph, dir / "runs" / ("run" + std::to_string(i)), cache);
    EXPECT_EQ(run_to_goal(graph, cache), want);
    fs::remove_all(dir / "runs" / ("run" + std::to_string(i)));
  }
  stop = true;
  gc.join();
}

}  // namespace
}  // namespace xp::graph
