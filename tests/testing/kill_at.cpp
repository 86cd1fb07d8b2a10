#include "tests/testing/kill_at.h"

#include <csignal>
#include <cstdint>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace xp::testing {
namespace {

/// System calls that change what is on the disk.
bool changes_files(uint64_t call) {
  switch (call) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_openat:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_copy_file_range:
    case SYS_sendfile:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
#ifdef __x86_64__
    case SYS_open:
    case SYS_rename:
    case SYS_unlink:
#endif
      return true;
    default:
      return false;
  }
}

/// Lets the child go on to its end or to its death. Sets all but `code` where it was killed.
Attempt follow(pid_t child, int fatal) {
  Attempt result;
  int status = 0;
  int64_t signal = 0;
  while (true) {
    ::ptrace(PTRACE_SYSCALL, child, 0, signal);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) break;
    const int stop = WSTOPSIG(status);
    signal = stop == (SIGTRAP | 0x80) ? 0 : stop;
    if (signal != 0) continue;
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !changes_files(info.entry.nr)) continue;
    if (++result.calls == fatal) ::kill(child, SIGKILL);
  }
  result.killed = WIFSIGNALED(status);
  if (!result.killed) result.code = WEXITSTATUS(status);
  return result;
}

}  // namespace

std::optional<Attempt> kill_at(int fatal, const std::function<void()>& work) {
  constexpr int kCannotTrace = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kCannotTrace);
    ::raise(SIGSTOP);
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status) ||
      ::ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0) {
    if (WIFSTOPPED(status)) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
    }
    return std::nullopt;
  }
  return follow(child, fatal);
}

}  // namespace xp::testing
