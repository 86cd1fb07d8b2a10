#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

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
