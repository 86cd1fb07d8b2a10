#include "tracker/capture.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/temp_dir.h"

namespace xp::tracker {
namespace {

/// Runs `work` in a process whose stdout and stderr go to `terminal`; returns its wait status.
template <class Work>
int in_child(const std::filesystem::path& terminal, const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(terminal.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    work();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

/// The process that this one has begun.
pid_t only_child() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");  // "PID (NAME) STATE PARENT .."
    std::string text;
    std::getline(file, text);
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    std::string state;
    pid_t parent = 0;
    std::istringstream(text.substr(name_end + 1)) >> state >> parent;
    if (parent == ::getpid()) return std::stoi(text);
  }
  return -1;
}

std::string eventually(const std::filesystem::path& file, const std::string& want) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text = std::filesystem::exists(file) ? read_file(file) : "";
    if (text == want) break;
    ::usleep(10000);
  }
  return text;
}

TEST(Capture, KeepsBothStreamsAndOfARedrawnLineItsLastForm) {
  const testing::TempDir dir;
  const int status = in_child(dir / "terminal", [&] {
    std::printf("before\n");
    {
      const Capture capture(dir.path(), 0);
      std::printf("one\n");
      std::fflush(stdout);
      std::fprintf(stderr, "10 %%\r20 %%\r100 %%\n");
      if (std::system("echo child") != 0) std::abort();
      std::printf("no newline");
    }
    std::printf("\nafter\n");
    std::fflush(stdout);
  });
  EXPECT_EQ(status, 0);
  const std::string log = read_file(dir / "output.0.log");
  for (const char* part : {"one\n", "100 %\n", "child\n", "no newline"}) {
    EXPECT_NE(log.find(part), std::string::npos) << part << " in " << log;
  }
  EXPECT_EQ(log.find("before"), std::string::npos);
  EXPECT_EQ(log.find("after"), std::string::npos);
  EXPECT_EQ(log.find("20 %"), std::string::npos) << log;
  const std::string terminal = read_file(dir / "terminal");
  for (const char* part :
       {"before\n", "one\n", "10 %\r20 %\r100 %\n", "child\n", "no newline", "\nafter\n"}) {
    EXPECT_NE(terminal.find(part), std::string::npos) << part << " in " << terminal;
  }
}

TEST(Capture, LastWordsOfAKilledProcessAreKept) {
  const testing::TempDir dir;
  const int status = in_child(dir / "terminal", [&] {
    const Capture capture(dir.path(), 2);
    std::fprintf(stderr, "last words\n");
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(eventually(dir / "output.2.log", "last words\n"), "last words\n");
  EXPECT_EQ(eventually(dir / "terminal", "last words\n"), "last words\n");
}

// Killed for memory, or by hand: what the run says goes where it went before, and no write ends it.
TEST(Capture, ARunOutlivesTheProcessThatKeepsItsOutput) {
  const testing::TempDir dir;
  const int status = in_child(dir / "terminal", [&] {
    {
      const Capture capture(dir.path(), 0);
      ::kill(only_child(), SIGKILL);
      for (int line = 0; line < 20; ++line) {
        std::printf("line %d\n", line);
        std::fflush(stdout);
        ::usleep(5000);
      }
    }
    std::printf("after\n");
    std::fflush(stdout);
  });
  EXPECT_EQ(status, 0);
  const std::string terminal = read_file(dir / "terminal");
  EXPECT_NE(terminal.find("line 19\n"), std::string::npos) << terminal;
  EXPECT_NE(terminal.find("`exp logs` lacks what came after"), std::string::npos) << terminal;
  EXPECT_NE(terminal.find("after\n"), std::string::npos) << terminal;
}

TEST(Capture, TerminalStaysATerminal) {
  const testing::TempDir dir;
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(::grantpt(master), 0);
  ASSERT_EQ(::unlockpt(master), 0);
  const std::string name = ::ptsname(master);
  const int status = in_child(name, [&] {
    const Capture capture(dir.path(), 0);
    std::printf(::isatty(STDOUT_FILENO) != 0 ? "terminal\n" : "pipe\n");
    std::fflush(stdout);
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(dir / "output.0.log"), "terminal\n");
  ::close(master);
}

TEST(Capture, OtherRanksHaveTheirLogsBesideIt) {
  const testing::TempDir dir;
  EXPECT_EQ(Capture::log_of(3), "");
  const int status = in_child(dir / "terminal", [&] {
    {
      const Capture capture(dir.path(), 0);
      if (Capture::log_of(3) != dir / "output.3.log") ::_exit(1);
    }
    if (!Capture::log_of(3).empty()) ::_exit(2);
  });
  EXPECT_EQ(status, 0);
}

TEST(Capture, FolderThatIsNotThereLeavesTheStreamsAlone) {
  const testing::TempDir dir;
  EXPECT_THROW(Capture(dir / "absent", 0), Error);
  EXPECT_EQ(::write(STDERR_FILENO, "", 0), 0);
}

}  // namespace
}  // namespace xp::tracker
