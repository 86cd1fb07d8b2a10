// Processes killed at random moments, many at once, disks that refuse.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/killed.h"
#include "tests/tracker/make_run.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;
using testing_runs::check_integrity;
using testing_runs::quiet;
using testing_runs::sample;
using testing_runs::SharedMemory;

/// Memory that a child and its parent share.
struct Killed {
  std::atomic<int64_t> acknowledged;  ///< points whose log call has returned
  std::atomic<int64_t> epochs;
  std::atomic<int> ready;
  char uid[32];
};

/// Logs until it is killed: a point every 20 us or so, an epoch value every 500 points.
[[noreturn]] void log_for_ever(const fs::path& folder, const SharedMemory<Killed>& shared) {
  auto run = Store(folder).create(sample("killed", 0), quiet());
  std::strncpy(shared->uid, run->uid().c_str(), sizeof shared->uid - 1);
  auto stage = run->begin_stage("train", "train", "k", {});
  const MetricId loss = stage->metric("loss", Unit::kNone);
  const MetricId map = stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch);
  shared->ready = 1;
  for (int64_t step = 1;; ++step) {
    stage->log(loss, step, 0.5 * static_cast<double>(step));
    shared->acknowledged = step;
    if (step % 500 == 0) {
      stage->log(map, step / 500, 0.1);
      shared->epochs = step / 500;
    }
    const timespec pause{0, 10000};
    if (step % 8 == 0) ::nanosleep(&pause, nullptr);
  }
}

void kill_at_random(int times) {
  const testing::TempDir dir;
  const fs::path folder = dir / ".exp";
  std::mt19937 random(1);
  int64_t points = 0;
  for (int i = 0; i < times; ++i) {
    const SharedMemory<Killed> shared;
    const pid_t child = ::fork();
    if (child == 0) log_for_ever(folder, shared);
    while (shared->ready == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 600000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const int64_t acknowledged = shared->acknowledged, epochs = shared->epochs;
    points += acknowledged;

    Query query(folder);
    const std::string uid = shared->uid;
    EXPECT_EQ(query.run(uid).status, Status::kLost) << "at once";
    const Curve curve = query.curve(uid, "train.loss");
    ASSERT_GE(static_cast<int64_t>(curve.points.size()), acknowledged) << "kill " << i;
    ASSERT_LE(static_cast<int64_t>(curve.points.size()), acknowledged + 1);
    for (size_t k = 0; k < curve.points.size(); ++k) {
      ASSERT_EQ(curve.points[k].step, static_cast<int64_t>(k) + 1);
      ASSERT_EQ(curve.points[k].value, 0.5 * static_cast<double>(k + 1));
    }
    EXPECT_GE(static_cast<int64_t>(query.curve(uid, "train.val.mAP").points.size()), epochs);
    if (acknowledged > 0) {
      EXPECT_EQ(query.run(uid).metrics.at("train.loss").n,
                static_cast<int64_t>(curve.points.size()));
    }
    check_integrity(folder / "runs" / uid / "run.db");
    EXPECT_FALSE(fs::exists(folder / "runs" / uid / "ring")) << "taken in by the reader";

    if (i % 10 == 0) {  // and it can be gone on with
      auto again = Store(folder).resume(uid, sample("killed", 0), quiet());
      EXPECT_EQ(again->attempt(), 2);
      again->finish(Outcome::kDone, "", "", 0);
    }
  }
  printf("%d kills, %lld acknowledged points, none lost\n", times, static_cast<long long>(points));
}

/// `count` processes start at once on a workspace that is not there yet; each logs and finishes.
void start_at_once(int count, int rounds) {
  constexpr int64_t kPoints = 200;
  for (int round = 0; round < rounds; ++round) {
    const testing::TempDir dir;
    const fs::path folder = dir / ".exp";
    const SharedMemory<Killed> gate;
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        while (gate->ready == 0) ::usleep(50);
        int code = 0;
        try {
          auto run = Store(folder).create(sample("many", i), quiet());
          const MetricId loss = run->metric("loss", Unit::kNone);
          for (int64_t step = 0; step < kPoints; ++step) run->log(loss, step, i);
          run->finish(Outcome::kDone, "", "", 0);
          if (run->losses().any()) code = 2;
          // Some also read, so that the index is made by many at once.
          if (i % 8 == 0 && Query(folder).runs({}).empty()) code = 3;
        } catch (const std::exception& error) {
          fprintf(stderr, "process %d: %s\n", i, error.what());
          code = 1;
        }
        ::_exit(code);
      }
      children.push_back(child);
    }
    gate->ready = 1;
    for (const pid_t child : children) {
      int status = -1;
      ::waitpid(child, &status, 0);
      ASSERT_EQ(status, 0) << "round " << round;
    }
    Query query(folder);
    EXPECT_TRUE(query.warnings().empty());
    const auto runs = query.runs({.filter = "status=done and n(loss)=200"});
    ASSERT_EQ(runs.size(), static_cast<size_t>(count)) << "round " << round;
    for (const RunInfo& run : runs)
      EXPECT_EQ(query.curve(run.uid, "loss").points.size(), static_cast<size_t>(kPoints));
  }
}

/// A small tmpfs at a folder; not mounted where that is not permitted.
class SmallDisk {
 public:
  SmallDisk(fs::path folder, const char* size) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, size) == 0;
    error_ = errno;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string why() const {
    return std::string("mounting a tmpfs is not permitted here: ") + std::strerror(error_);
  }
  bool remount_read_only() const {
    return ::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  fs::path folder_;
  bool mounted_ = false;
  int error_ = 0;
};

TEST(CrashIntegration, KilledRunsLoseNoAcknowledgedPoint) { kill_at_random(5); }
TEST(CrashStress, KilledRunsLoseNoAcknowledgedPoint) { kill_at_random(100); }
TEST(CrashIntegration, ProcessesStartAtOnceOnAnEmptyWorkspace) { start_at_once(16, 2); }
TEST(CrashStress, ProcessesStartAtOnceOnAnEmptyWorkspace) { start_at_once(64, 50); }

TEST(CrashIntegration, FullDiskLosesTrackingLoudlyAndNothingElse) {
  const testing::TempDir dir;
  const SmallDisk disk(dir / "disk", "size=6m");
  if (!disk.mounted()) GTEST_SKIP() << disk.why();
  RunOptions options = quiet();
  options.memory_points = 1000;
  auto run = Store(dir / "disk/.exp").create(sample("full", 0), options);
  const MetricId loss = run->metric("loss", Unit::kNone);
  run->log(loss, 0, 1);
  run->flush();
  EXPECT_FALSE(run->losses().any());
  int64_t step = 1;
  for (; step < 400000; ++step) {
    run->log(loss, step, 1);
    if (step % 20000 == 0) run->flush();
  }
  const Losses lost = run->losses();
  EXPECT_GT(lost.dropped, 0u);
  EXPECT_NE(lost.error.find("full"), std::string::npos) << lost.error;
  ::testing::internal::CaptureStderr();
  run->finish(Outcome::kDone, "", "", 0);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("tracking of run " + run->uid()), std::string::npos) << said;
  EXPECT_NE(said.find("points are lost"), std::string::npos) << said;
  const std::string uid = run->uid();
  run.reset();
  Query query(dir / "disk/.exp");
  EXPECT_GT(query.curve(uid, "loss").points.size(), 1000u) << "what was stored before is there";
}

TEST(CrashIntegration, DiskThatIsFullForAWhileLosesNothing) {
  const testing::TempDir dir;
  const SmallDisk disk(dir / "disk", "size=16m");
  if (!disk.mounted()) GTEST_SKIP() << disk.why();
  auto run = Store(dir / "disk/.exp").create(sample("full", 0), quiet());
  const MetricId loss = run->metric("loss", Unit::kNone);
  const fs::path ballast = dir / "disk/ballast";
  {
    FILE* file = fopen(ballast.c_str(), "w");
    const std::string block(1 << 16, 'x');
    while (fwrite(block.data(), 1, block.size(), file) == block.size() && fflush(file) == 0) {
    }
    fclose(file);
  }
  constexpr int64_t kPoints = 100000;
  for (int64_t step = 0; step < kPoints; ++step) run->log(loss, step, 1);
  run->flush();
  EXPECT_TRUE(run->losses().any());
  EXPECT_EQ(run->losses().dropped, 0u);
  EXPECT_GE(run->losses().unwritten, 1000u);
  fs::remove(ballast);
  run->finish(Outcome::kDone, "", "", 0);
  EXPECT_EQ(run->losses().dropped, 0u);
  Query query(dir / "disk/.exp");
  EXPECT_EQ(query.curve(run->uid(), "loss").points.size(), static_cast<size_t>(kPoints));
  EXPECT_EQ(query.run(run->uid()).status, Status::kDone);
}

TEST(CrashIntegration, ReadOnlyStoreIsReadAndDoesNotStopTheWork) {
  const testing::TempDir dir;
  const SmallDisk disk(dir / "disk", "size=32m");
  if (!disk.mounted()) GTEST_SKIP() << disk.why();
  const fs::path folder = dir / "disk/.exp";
  testing_runs::finished_run(*std::make_unique<Store>(folder), "before", 8, 0.5);
  {
    auto lost = Store(folder).create(sample("lost", 0), quiet());
    lost->log(lost->metric("loss", Unit::kNone), 1, 0.25);
  }
  ASSERT_TRUE(disk.remount_read_only()) << std::strerror(errno);

  Query query(folder);
  EXPECT_EQ(query.runs({.filter = "eval.mAP=0.5"}).size(), 1u);
  EXPECT_EQ(query.runs({}).size(), 2u);
  ::testing::internal::CaptureStderr();
  auto run = Store(folder).create(sample("after", 0), quiet());
  const MetricId loss = run->metric("loss", Unit::kNone);
  for (int64_t step = 0; step < 100; ++step) run->log(loss, step, 1);
  run->artifact(Kind::kOther, "/proc/self/status", 0);
  run->finish(Outcome::kDone, "", "", 0);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("100 points are lost"), std::string::npos) << said;
}

}  // namespace
}  // namespace xp::tracker
