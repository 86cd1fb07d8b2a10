// Loss of power. A disk keeps for certain what was synced, so these tests keep of each file of a
// run the bytes that it had when it was last synced, kill the run at a counted moment, and look at
// what such a disk would hold: each file from another moment.
#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <string>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/files.h"
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

struct Synced {
  std::atomic<int64_t> logged;   ///< points whose log call has returned
  std::atomic<int64_t> durable;  ///< of those, logged before a sync of the ring that has ended
  std::atomic<int64_t> ring_syncs, file_syncs;
  char uid[32];
};

/// What is on the disk of a child: the files below `live` as they were when last synced, below
/// `disk`.
struct Disk {
  fs::path live, disk;
  const SharedMemory<Synced>* shared = nullptr;
};
Disk* the_disk = nullptr;  // of a child; it does not end before the child

void keep(const fs::path& file) {
  const std::string name = file.string(), root = the_disk->live.string();
  if (!name.starts_with(root)) return;
  const fs::path to = the_disk->disk / fs::path(name).lexically_relative(root);
  if (fs::is_directory(file)) {  // what was removed from it
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(to, none)) {
      if (!fs::exists(file / entry.path().filename())) fs::remove(entry.path());
    }
    return;
  }
  fs::create_directories(to.parent_path());
  const fs::path aside = the_disk->disk / "being-synced";
  std::ofstream(aside, std::ios::binary) << read_file(file);
  fs::rename(aside, to);  // a sync that has not ended keeps what was there
}

/// The file that is mapped at an address.
std::string mapped_file(const void* address) {
  std::ifstream maps("/proc/self/maps");
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    if (std::stoull(line, nullptr, 16) == at)
      return line.substr(std::min(line.find('/'), line.size()));
  }
  return "";
}

int sync_file(long call, int fd) {
  if (the_disk != nullptr) {
    std::array<char, 4096> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), name.data(), name.size() - 1) > 0) keep(name.data());
    ++(*the_disk->shared)->file_syncs;
  }
  return static_cast<int>(::syscall(call, fd));
}

int sync_memory(void* address, size_t bytes, int flags) {
  const int64_t logged = the_disk == nullptr ? 0 : (*the_disk->shared)->logged.load();
  if (the_disk != nullptr) keep(mapped_file(address));
  const int result = static_cast<int>(::syscall(SYS_msync, address, bytes, flags));
  if (the_disk != nullptr && flags == MS_SYNC) {
    (*the_disk->shared)->durable = logged;
    ++(*the_disk->shared)->ring_syncs;
  }
  return result;
}

[[noreturn]] void log_for_ever(const SharedMemory<Synced>& shared) {
  RunOptions options = quiet();
  options.flush = std::chrono::milliseconds(1);
  options.commit = std::chrono::milliseconds(7);
  auto run = Store(the_disk->live / ".exp").create(sample("power", 0), options);
  std::strncpy(shared->uid, run->uid().c_str(), sizeof shared->uid - 1);
  const MetricId loss = run->metric("loss", Unit::kNone);
  for (int64_t step = 1;; ++step) {
    run->log(loss, step, 0.5 * static_cast<double>(step));
    shared->logged = step;
    const timespec pause{0, 10000};
    if (step % 8 == 0) ::nanosleep(&pause, nullptr);
  }
}

void lose_power(int times) {
  std::mt19937 random(2);
  int64_t logged = 0, lost = 0;
  for (int i = 0; i < times; ++i) {
    const testing::TempDir dir;
    const SharedMemory<Synced> shared;
    const auto enough = static_cast<int64_t>(1 + random() % 20000);
    const pid_t child = ::fork();
    if (child == 0) {
      Disk disk{dir / "live", dir / "disk", &shared};
      fs::create_directories(disk.live);
      the_disk = &disk;
      log_for_ever(shared);
    }
    while (shared->durable < enough && ::waitpid(child, nullptr, WNOHANG) == 0) ::usleep(100);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_GE(shared->durable, enough) << "the run ended by itself";
    EXPECT_GE(shared->file_syncs, 1);

    Query query(dir / "disk/.exp");
    const std::string uid = shared->uid;
    ASSERT_EQ(query.run(uid).status, Status::kLost) << query.run(uid).error;
    const Curve curve = query.curve(uid, "loss");
    ASSERT_GE(static_cast<int64_t>(curve.points.size()), shared->durable) << "loss " << i;
    for (size_t k = 0; k < curve.points.size(); ++k) {
      ASSERT_EQ(curve.points[k].step, static_cast<int64_t>(k) + 1) << "none is there twice";
      ASSERT_EQ(curve.points[k].value, 0.5 * static_cast<double>(k + 1));
    }
    check_integrity(dir / "disk/.exp/runs" / uid / "run.db");
    logged += shared->logged;
    lost += shared->logged - static_cast<int64_t>(curve.points.size());
  }
  printf("%d losses of power: of %lld points the newest %lld are gone, none that was synced\n",
         times, static_cast<long long>(logged), static_cast<long long>(lost));
}

TEST(PowerLossIntegration, WhatWasSyncedIsThere) { lose_power(5); }
TEST(PowerLossStress, WhatWasSyncedIsThere) { lose_power(100); }

// The writer syncs this often, whatever is logged; 50 ms are for the sync itself.
TEST(PowerLoss, PointsAreSyncedWithinAQuarterOfASecond) {
  EXPECT_LE(RunOptions().flush, std::chrono::milliseconds(200));
  const SharedMemory<Synced> shared;
  const testing::TempDir dir;
  Disk disk{dir / "live", dir / "disk", &shared};
  the_disk = &disk;
  {
    RunOptions options = quiet();
    options.flush = std::chrono::milliseconds(1);
    options.commit = std::chrono::hours(1);
    auto run = Store(disk.live / ".exp").create(sample("power", 0), options);
    const MetricId loss = run->metric("loss", Unit::kNone);
    for (int64_t step = 1; step <= 10; ++step) {
      run->log(loss, step, 1);
      shared->logged = step;
      while (shared->durable < step) ::usleep(100);  // nobody asks for it
    }
    EXPECT_GE(shared->ring_syncs, 10);
    run->finish(Outcome::kDone, "", "", 0);
  }
  the_disk = nullptr;
}

}  // namespace
}  // namespace xp::tracker

// In place of the C library's, also for SQLite.
extern "C" int fsync(int fd) { return xp::tracker::sync_file(SYS_fsync, fd); }
extern "C" int fdatasync(int fd) { return xp::tracker::sync_file(SYS_fdatasync, fd); }
extern "C" int msync(void* address, size_t bytes, int flags) {
  return xp::tracker::sync_memory(address, bytes, flags);
}
