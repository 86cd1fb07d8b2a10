// What happens to a run while it is written: its files are removed or cut, its process is killed
// before it is written down, the clock goes wrong.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/kill_at.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"
#include "tracker/capture.h"
#include "tracker/ring.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;
using testing_runs::quiet;
using testing_runs::sample;

class LiveRun : public ::testing::Test {
 protected:
  RunOptions fast() {
    RunOptions options = quiet();
    options.commit = std::chrono::milliseconds(50);
    options.flush = std::chrono::milliseconds(10);
    return options;
  }
  std::string said_by(const std::function<void()>& work) {
    ::testing::internal::CaptureStderr();
    work();
    return ::testing::internal::GetCapturedStderr();
  }

  testing::TempDir dir;
  Store store{dir / ".exp"};
};

TEST_F(LiveRun, ARecordThatIsRemovedIsSaidOnceAndNotMadeAnew) {
  for (const bool whole_folder : {true, false}) {
    auto run = store.create(sample("gone", 0), fast());
    const fs::path file = run->folder() / "run.db";
    const MetricId loss = run->metric("loss", Unit::kNone);
    run->log(loss, 0, 1);
    run->flush();
    EXPECT_FALSE(run->losses().removed);
    const std::string said = said_by([&] {
      fs::remove_all(whole_folder ? run->folder() : file);
      for (int step = 1; step < 10; ++step) {
        run->log(loss, step, 1);
        run->flush();
      }
      EXPECT_TRUE(run->losses().removed);
      run->finish(Outcome::kDone, "", "", 0);
    });
    const std::string what = file.string() + " was removed or replaced while the run went on";
    EXPECT_EQ(said.find(what), said.find("tracking: ") + 10) << said;
    EXPECT_NE(said.find("error: tracking of run " + run->uid()), std::string::npos) << said;
    EXPECT_NE(said.find("its end is not recorded"), std::string::npos) << said;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << said;
    EXPECT_TRUE(run->losses().removed);
    EXPECT_FALSE(fs::exists(file));
  }
}

TEST_F(LiveRun, OneRemovedInTheLastMomentIsSaidToo) {
  auto run = store.create(sample("gone", 0), quiet());
  const std::string said = said_by([&] {
    fs::remove_all(run->folder());
    run->finish(Outcome::kDone, "", "", 0);
  });
  EXPECT_TRUE(run->losses().removed);
  EXPECT_NE(said.find("its end is not recorded"), std::string::npos) << said;
}

TEST_F(LiveRun, ALockThatIsRemovedIsTakenAgain) {
  auto run = store.create(sample("locked", 0), fast());
  fs::remove(run->folder() / "lock");
  run->log(run->metric("loss", Unit::kNone), 0, 1);
  run->flush();
  EXPECT_FALSE(FileLock::try_acquire(run->folder() / "lock"));
  EXPECT_FALSE(run->losses().any());
  // Another process was faster: it writes the run now.
  fs::remove(run->folder() / "lock");
  const auto other = FileLock::try_acquire(run->folder() / "lock");
  const std::string said = said_by([&] {
    run->log(run->metric("loss", Unit::kNone), 1, 1);
    run->flush();
    run->finish(Outcome::kDone, "", "", 0);
  });
  EXPECT_NE(said.find("another process has it now"), std::string::npos) << said;
  EXPECT_TRUE(run->losses().removed);
}

// Until its process notices, nobody else takes the run for one that nobody writes: its points would
// be written down twice, and it could be gone on with or removed.
TEST_F(LiveRun, OneWhoseLockWasRemovedIsItsProcesssOwn) {
  const auto wait_for = [](const fs::path& file) {
    for (int i = 0; i < 1000 && !fs::exists(file); ++i) ::usleep(5000);
  };
  RunOptions rare = quiet();
  rare.commit = std::chrono::seconds(100);
  const pid_t child = ::fork();
  if (child == 0) {
    auto run = store.create(sample("locked", 0), rare);
    const MetricId loss = run->metric("loss", Unit::kNone);
    for (int step = 0; step < 100; ++step) run->log(loss, step, step);
    write_file_atomic(dir / "logged", run->uid());
    wait_for(dir / "looked");
    for (int step = 100; step < 200; ++step) run->log(loss, step, step);
    run->finish(Outcome::kDone, "", "", 0);
    ::_exit(0);
  }
  wait_for(dir / "logged");
  const std::string uid = read_file(dir / "logged");
  fs::remove(store.run_folder(uid) / "lock");
  EXPECT_EQ(Query(store.folder()).run(uid).status, Status::kRunning);
  EXPECT_TRUE(store.earlier(sample("locked", 0).recipe_hash).empty());
  EXPECT_THROW(store.remove(uid), Error);
  EXPECT_THROW(store.resume(uid, sample("locked", 0), quiet()), Error);
  store.note(uid, "seen");
  write_file_atomic(dir / "looked", "");
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  const RunInfo info = Query(store.folder()).run(uid);
  EXPECT_EQ(info.status, Status::kDone);
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(info.metrics.at("loss").n, 200);
  EXPECT_EQ(info.notes, "seen");
}

TEST_F(LiveRun, ARingThatIsCutDoesNotEndTheWork) {
  for (const int64_t left : {0, 5000}) {
    auto run = store.create(sample("cut", 0), fast());
    const MetricId loss = run->metric("loss", Unit::kNone);
    run->log(loss, 0, 0);
    run->flush();
    const std::string said = said_by([&] {
      ASSERT_EQ(::truncate((run->folder() / "ring").c_str(), left), 0);
      for (int step = 1; step <= 5000; ++step) run->log(loss, step, step);
      const MetricId late = run->metric("late", Unit::kNone);
      run->log(late, 7, 0.5);
      run->finish(Outcome::kDone, "", "", 0);
    });
    EXPECT_NE(said.find("ring was cut while the run went on"), std::string::npos) << said;
    Query query(store.folder());
    const auto points = query.curve(run->uid(), "loss").points;
    // Those in flight when it was noticed are gone, at most what one lap had taken.
    ASSERT_GE(points.size(), 4000U);
    for (const Point& point : points) EXPECT_EQ(point.value, static_cast<double>(point.step));
    EXPECT_EQ(points.front().step, 0);
    EXPECT_EQ(points.back().step, 5000);
    EXPECT_EQ(query.curve(run->uid(), "late").points.size(), 1U);
    EXPECT_EQ(query.run(run->uid()).status, Status::kDone);
  }
}

TEST_F(LiveRun, AReaderOfARingThatIsCutLives) {
  const auto ring = Ring::create(dir / "ring", 1, 0);
  ASSERT_TRUE(ring->push({1, 1, 1, 0}));
  const auto reader = Ring::open(dir / "ring", false);
  ASSERT_EQ(::truncate((dir / "ring").c_str(), 0), 0);
  std::vector<RingPoint> points;
  reader->peek(0, 10, true, points);
  EXPECT_TRUE(points.empty());
  EXPECT_TRUE(reader->metrics().empty());
  EXPECT_TRUE(reader->cut());
}

// Whenever it is killed, a new run is there whole or not at all.
TEST(LiveRunIntegration, KilledAtCreationLeavesNothingBroken) {
  const testing::TempDir dir;
  const auto begin = [](const fs::path& folder) {
    RunOptions options = quiet();
    Store(folder).create(sample("new", 0), options)->finish(Outcome::kDone, "", "", 0);
  };
  const auto whole = testing::kill_at(0, [&] { begin(dir / "whole"); });
  if (!whole) GTEST_SKIP() << "processes cannot be traced here";
  ASSERT_EQ(whole->code, 0);
  ASSERT_GT(whole->calls, 10);
  int none = 0, some = 0;
  for (int call = 1; call <= whole->calls; call += std::max(1, whole->calls / 25)) {
    SCOPED_TRACE(call);
    const fs::path folder = dir / std::to_string(call);
    fs::create_directories(folder);
    testing::kill_at(call, [&] { begin(folder); });
    Query query(folder);
    EXPECT_TRUE(query.warnings().empty()) << query.warnings().front();
    for (const RunInfo& run : query.runs({})) {
      EXPECT_TRUE(run.status == Status::kLost || run.status == Status::kDone) << text(run.status);
      EXPECT_EQ(run.name, "new");
      EXPECT_EQ(run.attempts, 1);
      ++some;
    }
    none += query.runs({}).empty() ? 1 : 0;
  }
  std::printf("%d calls; killed before it was there %d times, after it %d times\n", whole->calls,
              none, some);
  EXPECT_GT(none, 0);
  EXPECT_GT(some, 0);
}

TEST_F(LiveRun, TheLastRunIsTheLastThatWasMade) {
  // A run of a time in which the clock went a thousand years ahead.
  NewRun ahead = sample("ahead", 0);
  ahead.uid = "0ZZZZZZZZZ" + make_ulid().substr(10);
  store.create(ahead, quiet())->finish(Outcome::kDone, "", "", 0);
  const std::string next = testing_runs::finished_run(store, "next", 0, 0.5);
  const std::string queued = store.queue(sample("queued", 0));
  const std::string last = testing_runs::finished_run(store, "last", 0, 0.5);
  EXPECT_LT(ahead.uid, next);
  EXPECT_LT(next, queued);
  EXPECT_LT(queued, last);
  EXPECT_EQ(Query(store.folder()).find("last"), last);
  EXPECT_EQ(Query(store.folder()).find("last-2"), next);
}

TEST(Clock, AUlidSortsBehindWhatIsThere) {
  const std::string now = make_ulid();
  EXPECT_LT(now.substr(0, 10), make_ulid_after("").substr(0, 11));
  EXPECT_LT("7ZZZZZZZZY" + now.substr(10), make_ulid_after("7ZZZZZZZZY" + now.substr(10)));
  EXPECT_EQ(make_ulid_after("not a ulid, but of 26 sign").size(), 26U);
  for (std::string newest = now, next; newest < now + "~"; newest = next) {
    next = make_ulid_after(newest);
    ASSERT_LT(newest, next) << "also within one millisecond";
    if (next.substr(0, 10) > make_ulid().substr(0, 10)) break;
  }
  const int64_t before = timeline_ns();
  EXPECT_LE(before, timeline_ns());
  EXPECT_LT(std::abs(wall_ns() - before), int64_t{60} * 1'000'000'000);
}

// A limit of open files must not swallow what is said.
TEST(CaptureIntegration, WithoutDescriptorsTheOutputGoesOn) {
  const testing::TempDir dir;
  const fs::path terminal = dir / "terminal";
  for (int spare = 0; spare < 14; ++spare) {
    SCOPED_TRACE(spare);
    fs::remove(terminal);
    const pid_t child = ::fork();
    if (child == 0) {
      const int fd = ::open(terminal.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
      ::dup2(fd, STDOUT_FILENO);
      ::dup2(fd, STDERR_FILENO);
      const rlimit limit{static_cast<rlim_t>(fd + 1 + spare), static_cast<rlim_t>(fd + 1 + spare)};
      ::setrlimit(RLIMIT_NOFILE, &limit);
      {
        std::unique_ptr<Capture> capture;
        try {
          capture = std::make_unique<Capture>(dir.path(), 0);
        } catch (const Error&) {
          std::fprintf(stderr, "not kept\n");
        }
        std::fprintf(stderr, "said\n");
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_NE(read_file(terminal).find("said\n"), std::string::npos);
  }
}

// What cannot be listed is not gone.
TEST_F(LiveRun, AFolderOfRunsThatCannotBeReadIsAnError) {
  testing_runs::finished_run(store, "kept", 0, 0.5);
  EXPECT_EQ(Query(store.folder()).runs({}).size(), 1U);
  const fs::path runs = store.folder() / "runs", aside = dir / "aside";
  fs::rename(runs, aside);
  fs::create_symlink(runs, runs);
  EXPECT_THROW(Query(store.folder()).runs({}), Error);
  fs::remove(runs);
  fs::rename(aside, runs);
  EXPECT_EQ(Query(store.folder()).runs({}).size(), 1U);
}

// A full disk behind stdout is known when the output ends.
TEST(CaptureIntegration, StdoutThatTakesNoMoreIsNoticed) {
  const testing::TempDir dir;
  for (const char* target : {"/dev/full", "/dev/null"}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open(target, O_WRONLY), STDOUT_FILENO);
      {
        const Capture capture(dir.path(), 0);
        std::printf("a result\n");
      }
      ::_exit(Capture::stdout_error());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), std::string(target) == "/dev/full" ? ENOSPC : 0) << target;
  }
}

}  // namespace
}  // namespace xp::tracker
