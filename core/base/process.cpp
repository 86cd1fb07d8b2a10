#include "core/base/process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp {
namespace {

// In the child, after fork: system calls only. What fails is told through the pipe.
[[noreturn]] void become(char* const* argv, char* const* environment, const char* folder,
                         const char* output, bool own_group, pid_t parent, int tell) {
  const auto give_up = [tell] {
    const int error = errno;
    if (::write(tell, &error, sizeof(error)) < 0) ::_exit(126);
    ::_exit(127);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // it died before it was asked about
  if (own_group && ::setpgid(0, 0) != 0) give_up();
  if (*folder != '\0' && ::chdir(folder) != 0) give_up();
  if (*output != '\0') {
    const int fd = ::open(output, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || ::dup2(fd, 1) < 0 || ::dup2(fd, 2) < 0) give_up();
    if (fd > 2) ::close(fd);
  }
  ::execvpe(argv[0], argv, environment);
  give_up();
  ::_exit(127);
}

std::vector<std::string> merged_environment(const ProcessOptions& options) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : options.environment) replaced |= text.starts_with(name + "=");
    if (!replaced) out.push_back(text);
  }
  for (const auto& [name, value] : options.environment) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

pid_t start_process(const std::vector<std::string>& argv, const ProcessOptions& options) {
  XP_CHECK(!argv.empty(), "a process without a program");
  std::vector<std::string> words = argv;
  std::vector<std::string> environment = merged_environment(options);
  const std::vector<char*> word_pointers = pointers(words);
  const std::vector<char*> environment_pointers = pointers(environment);
  const std::string folder = options.folder.string(), output = options.output.string();
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) {
    throw Error(fmt::format("cannot start {}: {}", argv[0], std::strerror(errno)), Exit::kFailed);
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe_ends[0]);
    become(word_pointers.data(), environment_pointers.data(), folder.c_str(), output.c_str(),
           options.own_group, parent, pipe_ends[1]);
  }
  ::close(pipe_ends[1]);
  int error = child < 0 ? errno : 0;
  if (child > 0) {
    // The pipe closes by itself when the program begins.
    while (::read(pipe_ends[0], &error, sizeof(error)) < 0 && errno == EINTR) {
    }
  }
  ::close(pipe_ends[0]);
  if (error != 0) {
    if (child > 0) ::waitpid(child, nullptr, 0);
    throw Error(fmt::format("cannot start {}: {}", argv[0], std::strerror(error)), Exit::kFailed);
  }
  return child;
}

std::optional<int> poll_process(pid_t child) {
  int status = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(child, &status, WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  XP_CHECK(got == child, "a process that is no child of ours");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace xp
