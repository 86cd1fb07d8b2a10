#include "core/graph/garbage.h"

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
#include "core/graph/given_output.h"
#include "core/graph/trash.h"
#include "core/graph/uses.h"
#include "tests/graph/fakes.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"
#include "tracker/store.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using testing::distillation;
using testing::run_to_goal;
using xp::testing::put;
using xp::testing::TempDir;

using Names = std::vector<std::string>;

constexpr const char* kKey = "0123456789abcdef0123456789abcdef";

Collecting look() {
  Collecting out;
  out.move = false;
  return out;
}

// What is garbage, without its keys: "train, made for stage student".
Names names(const Collected& collected) {
  Names out;
  for (const Garbage& item : collected.items)
    out.push_back(item.what.substr(0, item.what.find(' ')) + item.what.substr(item.what.find(',')));
  std::sort(out.begin(), out.end());
  return out;
}

template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

// All files of a folder with their contents.
std::string contents(const fs::path& folder) {
  Names out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      out.push_back(entry.path().lexically_relative(folder).string() + "=" +
                    read_file(entry.path()) + "\n");
  }
  std::sort(out.begin(), out.end());
  std::string text;
  for (const std::string& line : out) text += line;
  return text;
}

bool there(const Cache& cache, const Graph& graph, size_t i) {
  return cache.find(graph.nodes[i].kind, graph.nodes[i].key).has_value();
}

// A workspace with its own cache.
class Gc : public ::testing::Test {
 protected:
  Collected collect(const Collecting& how = {}) {
    return collect_garbage(cache_, dir_ / ".exp", how);
  }
  fs::path run(const char* name) { return dir_ / ".exp/runs" / name; }

  TempDir dir_;
  Cache cache_{dir_ / ".exp/cache"};
};

TEST_F(Gc, RemovesWhatNoRunRefersTo) {
  const Graph kept = distillation(0.1), lost = distillation(0.9);
  record_uses(kept, run("A"), cache_);
  run_to_goal(kept, cache_);
  run_to_goal(lost, cache_);
  const Names want = {"evaluate, made for stage eval", "train, made for stage student"};
  EXPECT_EQ(names(collect(look())), want);
  EXPECT_TRUE(there(cache_, lost, 4)) << "a dry run removes nothing";
  EXPECT_EQ(names(collect()), want);
  EXPECT_FALSE(there(cache_, lost, 3));
  EXPECT_FALSE(there(cache_, lost, 4));
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(cache_, kept, i));
  EXPECT_EQ(names(collect()), Names{});
  fs::remove_all(run("A"));
  EXPECT_EQ(collect().items.size(), 5U);
  for (const StageKindInfo& info : stage_kinds()) {
    if (!fs::exists(cache_.root() / info.name)) continue;
    for (const auto& entry : fs::directory_iterator(cache_.root() / info.name))
      EXPECT_EQ(entry.path().extension(), ".lock") << entry.path();
  }
}

TEST_F(Gc, EarlierAttemptsCount) {
  const Graph first = distillation(0.1), second = distillation(0.9);
  record_uses(first, run("A"), cache_);
  record_uses(second, run("A"), cache_);
  run_to_goal(first, cache_);
  run_to_goal(second, cache_);
  EXPECT_EQ(names(collect()), Names{});
}

TEST_F(Gc, LeavesWhatIsMadeOrUsedAtThisMoment) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  run_to_goal(graph, cache_);
  fs::remove_all(run("A"));
  Wanted wanted;
  wanted.kind = "train";
  wanted.key = kKey;
  auto claim = cache_.claim(
      wanted, false, [](const Holder&) { return true; }, [](const std::string&) {});
  std::ofstream(claim->output() / "half") << "half";
  const auto in_use = cache_.use(graph.nodes[0].kind, graph.nodes[0].key);
  const auto also = cache_.use(graph.nodes[0].kind, graph.nodes[0].key);
  ASSERT_TRUE(in_use && also) << "any number may use an output";
  EXPECT_EQ(collect().items.size(), 4U);
  EXPECT_TRUE(fs::exists(claim->output()));
  EXPECT_TRUE(there(cache_, graph, 0));
}

// What a command was given by its path stays while it reads it: the file, or the folder.
TEST_F(Gc, LeavesWhatIsReadByItsPath) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  run_to_goal(graph, cache_);
  fs::remove_all(run("A"));
  const fs::path output = cache_.folder(graph.nodes[0].kind, graph.nodes[0].key);
  for (const fs::path& given :
       {output, output / "manifest.json", fs::path(output.string() + "/")}) {
    const auto in_use = hold_output(given);
    EXPECT_TRUE(in_use) << given;
    collect();
    EXPECT_TRUE(there(cache_, graph, 0)) << given;
  }
  collect();
  EXPECT_FALSE(there(cache_, graph, 0));
  EXPECT_FALSE(hold_output(dir_.path())) << "no output of a cache";
}

// A run without a list of its uses is safe by its locks alone.
TEST_F(Gc, ARunThatIsNowhereWrittenDownLosesNothing) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  fs::remove_all(run("A"));
  testing::FakeRunner runner;
  testing::FakeRecorder recorder;
  runner.at_step = [&](const Node&, StageContext&, int) { EXPECT_EQ(names(collect()), Names{}); };
  const Plan plan = make_plan(graph, cache_, nullptr, {});
  EXPECT_EQ(execute(plan, cache_, runner, recorder, {}).code(), Exit::kOk);
  EXPECT_EQ(runner.ran().size(), 5U) << "each once";
  EXPECT_EQ(collect().items.size(), 5U) << "the locks end with the run";
}

TEST_F(Gc, UnfinishedWorkOfAUsedStageStays) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  const fs::path train = cache_.root() / "train";
  fs::create_directories(train / (graph.nodes[3].key + ".partial"));
  fs::create_directories(train / (std::string(kKey) + ".partial"));
  fs::create_directories(train / (graph.nodes[3].key + ".corrupt-X"));
  EXPECT_EQ(names(collect()), (Names{"train, damaged", "train, unfinished"}));
  EXPECT_TRUE(fs::exists(train / (graph.nodes[3].key + ".partial")));
}

// Whatever cannot be read stops it, by name, and nothing is gone.
TEST_F(Gc, WhatCannotBeReadStopsIt) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  run_to_goal(graph, cache_);
  const fs::path runs = dir_ / ".exp/runs", aside = dir_ / "aside", list = run("A") / "stages.json";
  const std::string good = read_file(list);
  const auto refused = [&](const fs::path& culprit, const std::string& why) {
    const std::string said = message_of([&] { collect(); });
    EXPECT_EQ(said.find(culprit.string() + ": " + why), 0U) << said;
    for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(cache_, graph, i));
  };
  put(list, "{");
  refused(list, "cannot be read, so nobody knows what this run uses; remove the run (exp rm) or");
  fs::remove(list);
  fs::create_symlink(list, list);
  EXPECT_NE(message_of([&] { collect(); }), "");
  fs::remove(list);
  put(list, good);

  fs::create_directory_symlink(dir_ / "nowhere", run("B"));
  refused(run("B"), "a link that leads nowhere");
  fs::remove(run("B"));
  fs::create_symlink(run("B"), run("B"));
  refused(run("B"), "Too many levels of symbolic links");
  fs::remove(run("B"));

  fs::rename(runs, aside);
  fs::create_directory_symlink(dir_ / "nowhere", runs);
  refused(runs, "a link that leads nowhere");
  fs::remove(runs);
  put(runs, "");
  refused(runs, "not a folder");
  fs::remove(runs);
  const Collected absent = collect();
  EXPECT_TRUE(absent.items.empty()) << "a disk that is not mounted is no reason to forget it";
  ASSERT_EQ(absent.notes.size(), 1U);
  EXPECT_NE(absent.notes[0].find("--forget"), std::string::npos) << absent.notes[0];
  fs::create_directory_symlink(aside, runs);
  EXPECT_EQ(names(collect()), Names{}) << "a link that leads somewhere";
}

TEST_F(Gc, AListThatIsNotThereBesideAWholeRunStopsIt) {
  tracker::Store store(dir_ / ".exp");
  tracker::NewRun fresh;
  fresh.name = "whole";
  tracker::RunOptions quiet;
  quiet.provenance = false;
  quiet.system = std::chrono::milliseconds(0);
  const Graph graph = distillation(0.1);
  auto tracked = store.create(fresh, quiet);
  const fs::path list = tracked->folder() / "stages.json";
  EXPECT_EQ(names(collect()), Names{}) << "a run that has begun no stage uses none";
  record_uses(graph, tracked->folder(), cache_);
  run_to_goal(graph, cache_);
  tracked->attach_stage("prepare", "prepare", graph.nodes[0].key, cache_.root(), {});
  tracked->finish(tracker::Outcome::kDone, "", "", 0);
  fs::remove(list);
  const std::string said = message_of([&] { collect(); });
  EXPECT_EQ(said.find(list.string() + " is not there although the run has stages"), 0U) << said;
  EXPECT_TRUE(there(cache_, graph, 0));
  record_uses(graph, tracked->folder(), cache_);
  EXPECT_EQ(names(collect()), Names{});
}

TEST_F(Gc, WhatGoesLiesInTheTrashForAWeek) {
  const Graph graph = distillation(0.1);
  record_uses(graph, run("A"), cache_);
  run_to_goal(graph, cache_);
  const std::string before = contents(cache_.folder("train", graph.nodes[3].key));
  fs::remove_all(run("A"));
  ASSERT_EQ(collect().items.size(), 5U);
  const Trash trash(cache_.root());
  const auto batches = [&] {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(cache_.root() / "trash"))
      out.push_back(entry.path());
    return out;
  };
  ASSERT_EQ(batches().size(), 1U);
  const fs::path batch = batches().front();
  EXPECT_EQ(contents(batch / "train" / graph.nodes[3].key), before);
  const auto week = std::chrono::hours(24 * Trash::kDays);
  fs::last_write_time(batch, fs::file_time_type::clock::now() - week + std::chrono::hours(1));
  EXPECT_EQ(trash.empty(false), 0U);
  // Moved back it is what it was.
  fs::rename(batch / "train" / graph.nodes[3].key, cache_.folder("train", graph.nodes[3].key));
  EXPECT_EQ(cache_.damage(*cache_.find("train", graph.nodes[3].key), true), "");
  fs::last_write_time(batch, fs::file_time_type::clock::now() - week - std::chrono::hours(1));
  EXPECT_GT(trash.empty(false), 0U);
  EXPECT_TRUE(batches().empty());
  ASSERT_EQ(collect().items.size(), 1U);
  EXPECT_GT(trash.empty(true), 0U);
  EXPECT_TRUE(batches().empty());
}

TEST_F(Gc, ACacheOfBeforeKeepsWhatNobodyIsKnownToUse) {
  const Graph own = distillation(0.1), others = distillation(0.9);
  run_to_goal(own, cache_);
  run_to_goal(others, cache_);
  record_uses(own, run("A"), cache_);  // the first use by a program that marks it
  const Collected first = collect();
  EXPECT_EQ(names(first), Names{});
  ASSERT_EQ(first.notes.size(), 1U);
  EXPECT_NE(first.notes[0].find("`exp gc --adopt`"), std::string::npos);
  Collecting adopt;
  adopt.adopt = true;
  EXPECT_EQ(names(collect(adopt)),
            (Names{"evaluate, made for stage eval", "train, made for stage student"}));
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(cache_, own, i));
}

TEST_F(Gc, FilesOfAKillGo) {
  const fs::path exp = dir_ / ".exp";
  const fs::path left = put(run("A") / "inbox/x.json.tmp-01J", "x");
  const fs::path kept = put(run("A") / "stages.json", R"({"stages":[]})");
  const fs::path fresh = put(run("A") / "now.json.tmp-01K", "x");
  const fs::path unborn = put(run("B") / "lock", "").parent_path();
  const fs::path live = put(run("C") / "lock", "").parent_path();
  const auto lock = FileLock::try_acquire(live / "lock");
  put(run("A") / "run.db", "");
  const auto hour_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const fs::path& path : {left, unborn, live, run("A")}) fs::last_write_time(path, hour_ago);
  std::vector<fs::path> found;
  for (const Garbage& item : left_by_kills(exp)) found.push_back(item.path);
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<fs::path>{left, unborn}));
}

// Two workspaces with one cache.
class SharedCache : public ::testing::Test {
 protected:
  SharedCache() {
    record_uses(of_a_, a_ / "runs/1", cache_);
    record_uses(of_b_, b_ / "runs/1", cache_);
    run_to_goal(of_a_, cache_);
    run_to_goal(of_b_, cache_);
  }
  void all_there() {
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_TRUE(there(cache_, of_a_, i)) << i;
      EXPECT_TRUE(there(cache_, of_b_, i)) << i;
    }
  }

  TempDir dir_;
  Cache cache_{dir_ / "shared"};
  fs::path a_ = dir_ / "a/.exp", b_ = dir_ / "b/.exp";
  Graph of_a_ = distillation(0.1), of_b_ = distillation(0.9);
};

TEST_F(SharedCache, WorkspacesLeaveEachOthersStages) {
  EXPECT_EQ(names(collect_garbage(cache_, a_, {})), Names{});
  EXPECT_EQ(names(collect_garbage(cache_, b_, {})), Names{});
  all_there();
  fs::remove_all(b_ / "runs/1");
  EXPECT_EQ(collect_garbage(cache_, a_, {}).items.size(), 2U) << "a run that was removed";
}

TEST_F(SharedCache, AWorkspaceThatCannotBeReachedUsesAllItEverUsed) {
  const fs::path away = dir_ / "away";
  fs::rename(dir_ / "b", away);
  const auto kept = [&] {
    const Collected out = collect_garbage(cache_, a_, {});
    EXPECT_EQ(names(out), Names{});
    ASSERT_EQ(out.notes.size(), 1U);
    EXPECT_NE(out.notes[0].find((dir_ / "b").string()), std::string::npos) << out.notes[0];
    all_there();
  };
  kept();
  // Another workspace in its place is not it.
  record_uses(of_a_, b_ / "runs/1", cache_);
  kept();
  fs::remove_all(dir_ / "b");
  fs::rename(away, dir_ / "b");
  fs::rename(b_ / "runs", away);
  fs::create_directory_symlink(dir_ / "nowhere", b_ / "runs");
  EXPECT_EQ(names(collect_garbage(cache_, a_, {})), Names{});
  all_there();
}

TEST_F(SharedCache, AWorkspaceIsForgottenWhenItIsGone) {
  Collecting forget;
  forget.forget = {dir_ / "b"};
  EXPECT_NE(message_of([&] { collect_garbage(cache_, a_, forget); }).find("is there"),
            std::string::npos);
  forget.forget = {dir_ / "c"};
  EXPECT_NE(message_of([&] { collect_garbage(cache_, a_, forget); }).find("knows no such"),
            std::string::npos);
  all_there();
  fs::remove_all(dir_ / "b");
  forget.forget = {dir_ / "b"};
  EXPECT_EQ(collect_garbage(cache_, a_, forget).items.size(), 2U);
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(cache_, of_a_, i));
}

// A folder of sounds that somebody took for a cache.
TEST(ForeignFolder, NothingOfItIsTouched) {
  const TempDir dir;
  const Cache cache(dir / "data");
  put(dir / "data/train/dog/a.wav", "a");
  put(dir / "data/train" / std::string(kKey) / "b.wav", "b");
  put(dir / "data/train/c.tmp-x.wav", "c");
  put(dir / "data/train" / (std::string(kKey) + ".partial"), "d");
  put(dir / "data/train" / (std::string(kKey) + ".wav"), "e");
  put(dir / "data/scratch-pad/f.wav", "f");
  const Graph graph = distillation(0.1);
  const auto sounds = [&] {
    std::string out;
    for (const char letter : {'a', 'b', 'c', 'd', 'e', 'f'}) {
      for (const auto& entry : fs::recursive_directory_iterator(dir / "data")) {
        if (entry.is_regular_file() && entry.file_size() == 1 &&
            read_file(entry.path())[0] == letter)
          out += entry.path().lexically_relative(dir / "data").string() + "=" + letter + "\n";
      }
    }
    return out;
  };
  const std::string want = sounds();
  ASSERT_EQ(std::count(want.begin(), want.end(), '\n'), 6);
  record_uses(graph, dir / ".exp/runs/A", cache);
  run_to_goal(graph, cache);
  fs::remove_all(dir / ".exp/runs/A");
  const std::string said = message_of([&] { collect_garbage(cache, dir / ".exp", {}); });
  EXPECT_NE(said.find("not marked as a cache of exp, so nothing is removed"), std::string::npos);
  EXPECT_NE(said.find("`exp gc --adopt`"), std::string::npos);
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(there(cache, graph, i));
  Collecting adopt;
  adopt.adopt = true;
  EXPECT_EQ(collect_garbage(cache, dir / ".exp", adopt).items.size(), 5U);
  EXPECT_EQ(sounds(), want);
}

// Runs that begin while garbage is removed lose nothing.
TEST(GcIntegration, RunsBesideGc) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const std::string want = run_to_goal(distillation(0.1), Cache(dir / "other"));
  std::atomic<bool> stop{false};
  std::thread gc([&] {
    while (!stop) {
      collect_garbage(cache, dir.path(), {});
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
