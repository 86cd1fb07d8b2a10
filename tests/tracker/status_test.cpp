#include <chrono>
#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tests/testing/temp_dir.h"
#include "tracker/index.h"
#include "tracker/process.h"

namespace xp::tracker {
namespace {

constexpr int64_t kNow = 1'000'000'000'000;

TEST(Status, IsDerivedByTheReader) {
  const ProcessId alive = this_process();
  ProcessId reused = alive;
  reused.start += 1;
  ProcessId dead = alive;
  dead.pid = 0x7FFFFFFF;
  ProcessId before_boot = alive;
  before_boot.boot = "another boot";
  ProcessId elsewhere = alive;
  elsewhere.host = "another host";
  ProcessId container = alive;
  container.pid_namespace = "pid:[1]";
  struct Case {
    const char* name;
    const char* state;
    int attempts;
    ProcessId process;
    int64_t heartbeat_ns;
    Status want;
  };
  const int64_t fresh = kNow - kLostAfterNs / 2, old = kNow - kLostAfterNs * 2;
  const Case cases[] = {
      {"no attempt yet", "", 0, {}, 0, Status::kQueued},
      {"our process, alive, even with an old heartbeat", "", 1, alive, old, Status::kRunning},
      {"pid used again by another process", "", 1, reused, fresh, Status::kLost},
      {"no such pid, even with a fresh heartbeat", "", 1, dead, fresh, Status::kLost},
      {"our machine was started anew", "", 1, before_boot, fresh, Status::kLost},
      {"another host, fresh", "", 1, elsewhere, fresh, Status::kRunning},
      {"another host, silent", "", 1, elsewhere, old, Status::kLost},
      {"another container, fresh", "", 1, container, fresh, Status::kRunning},
      {"another container, silent", "", 1, container, old, Status::kLost},
      {"done", "done", 1, dead, old, Status::kDone},
      {"failed", "failed", 1, dead, old, Status::kFailed},
      {"interrupted", "interrupted", 2, dead, old, Status::kInterrupted},
      {"preempted", "preempted", 2, alive, fresh, Status::kPreempted},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(derive_status(c.state, c.attempts, c.process, c.heartbeat_ns, kNow), c.want);
  }
}

// A host whose clock is ahead leaves heartbeats of the future: they are not fresh for days.
TEST(Status, AHeartbeatOfTheFutureCountsFromTheLastWrite) {
  const testing::TempDir dir;
  const std::filesystem::path file = dir / "run.db";
  ProcessId elsewhere = this_process();
  elsewhere.host = "another host";
  const int64_t now = wall_ns();
  constexpr int64_t kHour = 3'600'000'000'000;
  EXPECT_EQ(sign_of_life(now - 5, now, file), now - 5);
  EXPECT_EQ(sign_of_life(now + kHour, now, file), now) << "nothing says more";
  for (const int64_t age : {int64_t{0}, kHour}) {
    write_file_atomic(file, "");
    std::filesystem::last_write_time(
        file, std::filesystem::file_time_type::clock::now() - std::chrono::nanoseconds(age));
    const int64_t seen = sign_of_life(now + kHour, now, file);
    EXPECT_LE(seen, now);
    EXPECT_EQ(derive_status("", 1, elsewhere, seen, now),
              age == 0 ? Status::kRunning : Status::kLost);
    EXPECT_EQ(derive_status("", 1, elsewhere, now + kHour, now), Status::kRunning);
  }
}

TEST(Status, ZombieIsDead) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ProcessId process = this_process();
  process.pid = child;
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(life_of(process), Life::kDead);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(life_of(process), Life::kDead);
}

}  // namespace
}  // namespace xp::tracker
