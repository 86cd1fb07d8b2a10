#include "tracker/command.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace xp::tracker {
namespace {

/// Everything from `fd` until its end; false on too much or too late.
bool read_all(int fd, std::chrono::steady_clock::time_point until, size_t max_bytes,
              std::string& out) {
  std::string block(1 << 16, '\0');
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd waiting{fd, POLLIN, 0};
    if (left.count() <= 0) return false;
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) return true;
    out.append(block.data(), static_cast<size_t>(got));
    if (out.size() > max_bytes) return false;
  }
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::optional<std::string> output_of(const std::vector<std::string>& argv,
                                     std::chrono::milliseconds limit, size_t max_bytes,
                                     const std::vector<std::string>* environment) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  std::vector<char*> words = pointers_to(argv);
  std::vector<char*> variables;
  if (environment != nullptr) variables = pointers_to(*environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(),
                                    environment == nullptr ? environ : variables.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string out;
  const bool whole =
      failed == 0 && read_all(ends[0], std::chrono::steady_clock::now() + limit, max_bytes, out);
  ::close(ends[0]);
  if (failed != 0) return std::nullopt;
  if (!whole) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return out;
}

}  // namespace xp::tracker
