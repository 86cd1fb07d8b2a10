#include "core/base/process.h"

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <thread>

#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"
#include "tests/testing/temp_dir.h"

namespace xp {
namespace {

void raise_all(std::initializer_list<int> signals) {
  install_stop_signals();
  for (const int signal : signals) ::raise(signal);
}

TEST(StopSignals, TheFirstOneSaysWithWhichCodeASecondOneEnds) {
  EXPECT_EXIT(raise_all({SIGINT, SIGTERM}), ::testing::ExitedWithCode(130), "");
  EXPECT_EXIT(raise_all({SIGTERM, SIGINT}), ::testing::ExitedWithCode(75), "");
}

TEST(StopSignals, ATerminalThatIsGonePreempts) {
  const auto code = [] { return static_cast<int>(exit_code(stop_requested())); };
  EXPECT_EXIT(raise_all({SIGHUP, SIGHUP}); ::_exit(code()), ::testing::ExitedWithCode(75), "");
  EXPECT_EXIT(::signal(SIGHUP, SIG_IGN); raise_all({SIGHUP});
              ::_exit(stop_requested() == StopReason::kNone ? 7 : 8), ::testing::ExitedWithCode(7),
              "")
      << "nohup";
}

int wait_for(pid_t child) {
  while (true) {
    if (const auto code = poll_process(child)) return *code;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(Process, ExitCodesAndSignals) {
  EXPECT_EQ(wait_for(start_process({"true"}, {})), 0);
  EXPECT_EQ(wait_for(start_process({"sh", "-c", "exit 75"}, {})), 75);
  const pid_t sleeper = start_process({"sleep", "60"}, {});
  EXPECT_FALSE(poll_process(sleeper));
  ::kill(sleeper, SIGKILL);
  EXPECT_EQ(wait_for(sleeper), 128 + SIGKILL);
}

TEST(Process, FolderOutputAndEnvironment) {
  const testing::TempDir dir;
  ProcessOptions options;
  options.folder = dir.path();
  options.output = dir / "out";
  options.environment = {{"XP_WORD", "hello"}};
  EXPECT_EQ(wait_for(start_process({"sh", "-c", "pwd; echo $XP_WORD >&2"}, options)), 0);
  EXPECT_EQ(read_file(dir / "out"), dir.path().string() + "\nhello\n");
}

TEST(Process, WhatCannotBeStartedIsNamed) {
  try {
    start_process({"no-such-program"}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "cannot start no-such-program: No such file or directory");
  }
}

}  // namespace
}  // namespace xp
