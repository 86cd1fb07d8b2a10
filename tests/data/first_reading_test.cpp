// A data set that nobody has read is read once: decoded and digested in one go.
#include "core/graph/first_reading.h"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sys/inotify.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/build.h"
#include "core/graph/garbage.h"
#include "core/graph/uses.h"
#include "core/recipe/recipe.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "data/prepare.h"
#include "tests/data/prepared.h"
#include "tests/data/preparing_run.h"
#include "tests/testing/kill_at.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"
#include "tracker/run_sink.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using graph::Cache;
using graph::Execution;
using graph::Graph;
using graph::Node;
using graph::Result;
using testing::content;
using testing::Preparer;
using testing::PreparingRun;
using testing::Teller;
using xp::testing::kill_at;
using xp::testing::TempDir;

/// Counts how often each file of some folders is opened.
class Opens {
 public:
  explicit Opens(const std::vector<fs::path>& folders) : fd_(::inotify_init1(IN_NONBLOCK)) {
    for (const fs::path& folder : folders) {
      // Closing is watched too: without it two openings of a file are told as one.
      const int watch = ::inotify_add_watch(fd_, folder.c_str(), IN_OPEN | IN_CLOSE);
      folders_[watch] = folder;
    }
  }
  ~Opens() { ::close(fd_); }
  Opens(const Opens&) = delete;
  Opens& operator=(const Opens&) = delete;

  bool works() const { return fd_ >= 0 && folders_.count(-1) == 0; }
  std::map<fs::path, int> counts() {
    alignas(inotify_event) char buffer[1 << 16];
    for (ssize_t got = 0; (got = ::read(fd_, buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        EXPECT_EQ(event->mask & IN_Q_OVERFLOW, 0U);
        if ((event->mask & IN_OPEN) != 0 && event->len > 0)
          ++counts_[folders_[event->wd] / event->name];
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    return counts_;
  }

 private:
  int fd_;
  std::map<int, fs::path> folders_;
  std::map<fs::path, int> counts_;
};

class FirstReading : public PreparingRun {
 protected:
  std::vector<fs::path> folders() const {
    return {dir_ / "set/audio", dir_ / "set/audio/more", dir_ / "set/meta"};
  }
};

class FirstReadingIntegration : public FirstReading {};

TEST_F(FirstReading, EachFileIsReadOnceAndKeyAndBytesAreThoseOfReadingFirst) {
  const Cache before(dir_ / "before");
  const Cache now(dir_ / "now");
  const int headers = 32;  // looked at by each call of prepare, for the size of shards
  Opens old_opens(folders());
  if (!old_opens.works()) GTEST_SKIP() << "no inotify here";
  const Done old = run(before, false);
  ASSERT_EQ(old.execution.code(), Exit::kOk);
  int all = 0;
  for (const auto& [file, count] : old_opens.counts())
    all += file.extension() == ".wav" ? count : 0;
  EXPECT_EQ(all, 40 + 40 + headers + 3);

  Opens opens(folders());
  Preparer preparer;
  Teller teller;
  const Done done = run(now, preparer, teller);
  ASSERT_EQ(done.execution.code(), Exit::kOk);
  all = 0;
  for (const auto& [file, count] : opens.counts()) {
    if (file.extension() != ".wav") continue;
    all += count;
    // Not listed, so not decoded: read for the digest.
    if (file.parent_path().filename() == "more") {
      EXPECT_EQ(count, 1) << file;
    }
  }
  EXPECT_EQ(all, 40 + 2 * headers + 3);
  EXPECT_EQ(preparer.first, 1);
  EXPECT_EQ(preparer.later, 1);
  EXPECT_EQ(done.key, old.key);
  EXPECT_EQ(content(done.folder), content(old.folder));
  EXPECT_EQ(content(done.folder).size(), 4U);  // two shards, index, report
  EXPECT_EQ(done.execution.nodes[0].result, Result::kMade);
  EXPECT_NE(teller.said.find("40 files"), std::string::npos) << teller.said;
  // Nothing is left of the provisional key but its lock.
  for (const auto& entry : fs::directory_iterator(now.root() / "prepare")) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == done.key || name.ends_with(".lock")) << name;
  }
  EXPECT_EQ(run(now).execution.nodes[0].result, Result::kCached);
}

TEST_F(FirstReading, APlanSaysWhatIsNotReadYet) {
  const Cache cache(dir_ / "cache");
  graph::InputDigests inputs(dir_ / "cache/inputs");
  const auto plan = graph::make_plan(build(inputs, cache), cache, &inputs, {});
  ASSERT_TRUE(plan.graph.nodes[0].provisional);
  EXPECT_EQ(plan.steps[0].reasons,
            std::vector<std::string>{
                "44 files (0.0 GB) were not read yet: they are while they are decoded"});
  const std::string text = graph::plan_text(plan);
  EXPECT_NE(text.find("prepare  prepare  will run    -\n"), std::string::npos) << text;
  EXPECT_NE(graph::plan_json(plan, cache).find("\"key\": \"\""), std::string::npos);
}

TEST_F(FirstReading, WhatIsSmallIsReadAtOnce) {
  most_unread_ = uint64_t{64} << 20U;
  const Cache cache(dir_ / "cache");
  Preparer preparer;
  Teller teller;
  EXPECT_EQ(run(cache, preparer, teller).execution.code(), Exit::kOk);
  EXPECT_EQ(preparer.first, 0);
  EXPECT_EQ(preparer.later, 1);
}

TEST_F(FirstReading, ACopyOfWhatIsPreparedIsFoundAndAnotherSetIsReadOnce) {
  const Cache cache(dir_ / "cache");
  const Done first = run(cache);
  fs::copy(dir_ / "set", dir_ / "copy", fs::copy_options::recursive);
  make_set("other", 41);
  Preparer preparer;
  Teller teller;
  const Done copy = run(cache, preparer, teller, true, "copy");
  EXPECT_EQ(copy.key, first.key);
  EXPECT_EQ(copy.execution.nodes[0].result, Result::kCached);
  EXPECT_EQ(preparer.first + preparer.later, 0);
  fs::remove_all(cache.root() / "inputs");  // a lost memory
  EXPECT_EQ(run(cache, preparer, teller).execution.nodes[0].result, Result::kCached);
  EXPECT_EQ(run(cache, preparer, teller, true, "copy").execution.nodes[0].result, Result::kCached);
  EXPECT_EQ(preparer.first + preparer.later, 0);
  const Done other = run(cache, preparer, teller, true, "other");
  EXPECT_EQ(other.execution.nodes[0].result, Result::kMade);
  EXPECT_EQ(preparer.first, 1);
}

TEST_F(FirstReading, AFileThatChangesAfterItWasReadIsNamed) {
  const Cache cache(dir_ / "cache");
  Preparer preparer;
  Teller teller;
  preparer.after = [&](const graph::StageContext& context) {
    if (context.seen != nullptr) sound(dir_ / "set", 7, 1234);
  };
  const Done done = run(cache, preparer, teller);
  ASSERT_EQ(done.execution.code(), Exit::kOk);
  EXPECT_NE(teller.said.find((dir_ / "set/audio/7.wav").string() +
                             " changed after it was read: the sounds are decoded again\n"),
            std::string::npos)
      << teller.said;
  const Done fresh = run(Cache(dir_ / "fresh"), false);
  EXPECT_EQ(done.key, fresh.key);
  EXPECT_EQ(content(done.folder), content(fresh.folder));
}

TEST_F(FirstReading, AFileThatChangesBeforeItIsReadIsTakenAsItIs) {
  more_ = ", max_bad_p = 0.5";
  const Cache cache(dir_ / "cache");
  Preparer preparer;
  Teller teller;
  preparer.before = [&](const graph::StageContext& context) {
    if (context.seen == nullptr) return;
    sound(dir_ / "set", 7, 1234);
    fs::remove(dir_ / "set/audio/8.wav");
    sound(dir_ / "set", 40, 99);  // not listed
  };
  const Done done = run(cache, preparer, teller);
  ASSERT_EQ(done.execution.code(), Exit::kOk);
  const Done fresh = run(Cache(dir_ / "fresh"), false);
  EXPECT_EQ(done.key, fresh.key);
  EXPECT_EQ(content(done.folder), content(fresh.folder));
}

TEST_F(FirstReading, BadClipsEndItAsTheyEndTheStage) {
  more_ = ", on_bad_clip = 'error'";
  std::ofstream(dir_ / "set/audio/9.wav") << "no sound";
  const Cache cache(dir_ / "cache");
  const Done done = run(cache);
  ASSERT_TRUE(done.learned.ended.has_value());
  const graph::NodeResult& result = done.learned.ended->nodes[0];
  EXPECT_EQ(result.result, Result::kFailed);
  EXPECT_EQ(done.learned.ended->code(), Exit::kData);
  EXPECT_EQ(result.where, "stage prepare");
  const Done old = run(Cache(dir_ / "old"), false);
  EXPECT_EQ(result.error, old.execution.nodes[0].error);
  // Mended, it is another set.
  sound(dir_ / "set", 9, 300);
  EXPECT_EQ(run(cache).execution.code(), Exit::kOk);
}

TEST_F(FirstReading, StopsAndGoesOn) {
  const Cache cache(dir_ / "cache");
  int asked = 0;
  stop_ = [&] { return ++asked > 12 ? StopReason::kRequested : StopReason::kNone; };
  const Done stopped = run(cache);
  ASSERT_TRUE(stopped.learned.ended.has_value());
  EXPECT_EQ(stopped.learned.ended->nodes[0].result, Result::kStopped);
  EXPECT_EQ(stopped.learned.ended->stopped, StopReason::kRequested);
  EXPECT_EQ(stopped.learned.plan.steps[0].state, graph::State::kWillRun);
  stop_ = [] { return StopReason::kNone; };
  Preparer preparer;
  Teller teller;
  bool resumed = false;
  preparer.before = [&](const graph::StageContext& context) { resumed |= context.resumed; };
  const Done done = run(cache, preparer, teller);
  EXPECT_EQ(done.execution.code(), Exit::kOk);
  EXPECT_TRUE(resumed);
  EXPECT_EQ(content(done.folder), content(run(Cache(dir_ / "old"), false).folder));
}

TEST_F(FirstReading, OfTwoAtOnceTheSecondWaitsAndReuses) {
  // Files of the last two seconds may still change within a tick: the second would read them again.
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const Cache cache(dir_ / "cache");
  std::mutex mutex;
  std::condition_variable changed;
  bool reading = false, waits = false;
  Preparer first, second;
  Teller of_first, of_second;
  first.before = [&](const graph::StageContext& context) {
    if (context.seen == nullptr) return;
    std::unique_lock lock(mutex);
    reading = true;
    changed.notify_all();
    changed.wait(lock, [&] { return waits; });
  };
  of_second.on_line = [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    waits = waits || line.starts_with("waits for another process");
    changed.notify_all();
  };
  Done a, b;
  std::thread one([&] { a = run(cache, first, of_first); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return reading; });
  }
  std::thread two([&] { b = run(cache, second, of_second); });
  one.join();
  two.join();
  EXPECT_EQ(a.execution.code(), Exit::kOk);
  EXPECT_EQ(b.execution.code(), Exit::kOk);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(first.first, 1);
  EXPECT_EQ(second.first, 0);
  EXPECT_EQ(first.later + second.later, 1);
}

TEST_F(FirstReading, WhatIsUnfinishedStaysWhileARunRefersToIt) {
  const Cache cache(dir_ / "cache");
  graph::InputDigests inputs(dir_ / "cache/inputs");
  const Graph provisional = build(inputs, cache);
  graph::record_uses(provisional, dir_ / "runs/one", cache);
  int asked = 0;
  stop_ = [&] { return ++asked > 12 ? StopReason::kRequested : StopReason::kNone; };
  ASSERT_TRUE(run(cache).learned.ended.has_value());
  const fs::path unfinished = cache.folder("prepare", provisional.nodes[0].key + ".partial");
  ASSERT_TRUE(fs::exists(unfinished));
  EXPECT_TRUE(graph::collect_garbage(cache, dir_.path(), {}).items.empty());
  fs::remove_all(dir_ / "runs/one");
  EXPECT_EQ(graph::collect_garbage(cache, dir_.path(), {}).items.size(),
            3U);  // sound, digests, time
  EXPECT_FALSE(fs::exists(unfinished));
}

TEST_F(FirstReading, SoundsThatAJsonNames) {
  fs::create_directories(dir_ / "lists");
  std::ofstream(dir_ / "lists/labels.csv")
      << "index,mid,display_name\n0,/m/a,\"A\"\n1,/m/b,\"B\"\n";
  for (const char* split : {"train", "val"}) {
    std::ofstream json(dir_ / fmt::format("lists/{}.json", split));
    json << "{\"data\": [";
    for (int i = 0; i < 10; ++i) {
      json << fmt::format(
          "{}{{\"wav\": \"{}\", \"labels\": \"/m/{}\"}}", i == 0 ? "" : ", ",
          (dir_ / fmt::format("set/audio/{}.wav", i + (*split == 't' ? 0 : 10))).string(),
          i % 2 == 0 ? "a" : "b");
    }
    json << "]}";
  }
  std::ofstream(dir_ / "json.toml") << fmt::format(
      "experiment.name = 'json'\n"
      "dataset = {{ name = 'json', labels = '{0}/labels.csv', json_train = '{0}/train.json', "
      "json_val = '{0}/val.json' }}\n"
      "frontend = {{ kind = 'kaldi', frames = 64 }}\n"
      "stages.prepare = {{ do = 'prepare' }}\n",
      (dir_ / "lists").string());
  const recipe::Recipe recipe = schema::load_recipe(dir_ / "json.toml", {});
  std::map<bool, std::string> keys;
  for (const bool put_off : {true, false}) {
    const Cache cache(dir_ / (put_off ? "now" : "before"));
    graph::InputDigests inputs(cache.root() / "inputs");
    graph::Target target;
    if (put_off) target.cache = &cache;
    target.most_unread_bytes = 10'000;  // the lists themselves are read
    std::vector<std::string> notes;
    const graph::Learning learning{
        [&] { return graph::build_graph(recipe, target, inputs, {}, notes); }, inputs, {}};
    Preparer preparer;
    Teller teller;
    const auto learned = graph::learn_keys(graph::make_plan(learning.build(), cache, &inputs, {}),
                                           learning, cache, preparer, teller, {});
    ASSERT_FALSE(learned.ended.has_value());
    EXPECT_EQ(preparer.first, put_off ? 1 : 0);
    keys[put_off] = learned.plan.graph.nodes[0].key;
    EXPECT_EQ(graph::execute(learned.plan, cache, preparer, teller, {}).code(), Exit::kOk);
  }
  EXPECT_EQ(keys[true], keys[false]);
}

TEST_F(FirstReadingIntegration, KilledAnywhereItGoesOnToTheSame) {
  const Done whole = run(Cache(dir_ / "whole"), false);
  ASSERT_EQ(whole.execution.code(), Exit::kOk);
  const auto counted = kill_at(0, [&] { run(Cache(dir_ / "counted")); });
  if (!counted) GTEST_SKIP() << "processes cannot be traced here";
  ASSERT_EQ(counted->code, 0);
  ASSERT_GT(counted->calls, 60);
  // Evenly over the decoding, and each call of the end, where keys become known.
  std::set<int> fatal;
  for (int i = 0; i < 6; ++i) fatal.insert(1 + i * counted->calls / 6);
  for (int i = counted->calls - 30; i <= counted->calls; ++i) fatal.insert(i);
  for (const int call : fatal) {
    SCOPED_TRACE(call);
    const Cache cache(dir_ / fmt::format("cache-{}", call));
    const auto killed = kill_at(call, [&] { run(cache); });
    ASSERT_TRUE(killed.has_value());
    EXPECT_TRUE(killed->killed);
    Preparer preparer;
    Teller teller;
    const Done done = run(cache, preparer, teller);
    ASSERT_EQ(done.execution.code(), Exit::kOk);
    EXPECT_EQ(done.key, whole.key);
    EXPECT_EQ(content(done.folder), content(whole.folder));
    fs::remove_all(cache.root());
  }
}

TEST_F(FirstReadingIntegration, KilledTwiceTheWorkOfTheFirstIsNotLost) {
  // Files that were just written are read again at every look.
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const Done whole = run(Cache(dir_ / "whole"), false);
  // Killed when three quarters are decoded: what is left is little enough to be read at once.
  most_unread_ = 600'000;
  const auto half_way = [&](const Cache& cache) {
    return kill_at(0, [&] {
      Preparer preparer;
      Teller teller;
      int asked = 0;
      preparer.before = [&](graph::StageContext& context) {
        context.stop_requested = [&] {
          if (++asked == 30) ::_exit(1);
          return StopReason::kNone;
        };
      };
      run(cache, preparer, teller);
    });
  };
  const Cache counted(dir_ / "counted");
  if (!half_way(counted)) GTEST_SKIP() << "processes cannot be traced here";
  const auto rest = kill_at(0, [&] { run(counted); });
  ASSERT_EQ(rest->code, 0);
  std::set<int> fatal;  // the folder changes its name in the beginning
  for (int call = 1; call <= rest->calls; call += call < 20 ? 1 : 20) fatal.insert(call);
  for (const int call : fatal) {
    SCOPED_TRACE(call);
    const Cache cache(dir_ / fmt::format("cache-{}", call));
    ASSERT_EQ(half_way(cache)->code, 1);
    ASSERT_TRUE(kill_at(call, [&] { run(cache); })->killed);
    Preparer preparer;
    Teller teller;
    bool anew = false;
    preparer.before = [&](const graph::StageContext& context) { anew |= !context.resumed; };
    const Done done = run(cache, preparer, teller);
    ASSERT_EQ(done.execution.code(), Exit::kOk);
    EXPECT_FALSE(anew);
    EXPECT_EQ(done.key, whole.key);
    EXPECT_EQ(content(done.folder), content(whole.folder));
    fs::remove_all(cache.root());
  }
}

}  // namespace
}  // namespace xp::data
