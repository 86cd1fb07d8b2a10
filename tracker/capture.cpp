#include "tracker/capture.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/log.h"

namespace xp::tracker {
namespace {

struct Channel {
  int read = -1;   ///< what the captured process writes comes out here
  int write = -1;  ///< what takes the place of its stdout or stderr
};

/// A pipe, or where the stream is a terminal a pseudo-terminal of the same size, so that programs
/// go on drawing.
bool open_channel(int stream, Channel& channel) {
  if (::isatty(stream) == 0) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    channel = {ends[0], ends[1]};
    return true;
  }
  channel.read = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (channel.read < 0 || ::grantpt(channel.read) != 0 || ::unlockpt(channel.read) != 0)
    return false;
  std::array<char, 128> name{};
  if (::ptsname_r(channel.read, name.data(), name.size()) != 0) return false;
  channel.write = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  termios settings{};
  winsize size{};
  if (channel.write < 0 || ::tcgetattr(channel.write, &settings) != 0) return false;
  ::cfmakeraw(&settings);  // the real terminal does the line endings
  ::tcsetattr(channel.write, TCSANOW, &settings);
  if (::ioctl(stream, TIOCGWINSZ, &size) == 0) ::ioctl(channel.write, TIOCSWINSZ, &size);
  return true;
}

// What follows runs in the forked process: nothing but system calls and memory of
// its own.

// 0, or why not all of it was taken: the terminal is gone, the disk is full. The other side still
// gets it.
int put(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t wrote = ::write(fd, bytes, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return errno;
    bytes += wrote;
    size -= static_cast<size_t>(wrote);
  }
  return 0;
}

/// One stream's unfinished line. A carriage return starts it anew: only its last form is kept.
class Line {
 public:
  void feed(int file, const char* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      const char c = bytes[i];
      if (c == '\r') {
        returned_ = true;
        continue;
      }
      if (c != '\n' && returned_) used_ = 0;
      returned_ = false;
      text_[used_++] = c;
      if (c == '\n' || used_ == text_.size()) flush(file);
    }
  }
  void flush(int file) {
    put(file, text_.data(), used_);
    used_ = 0;
  }

 private:
  std::array<char, 1 << 14> text_{};
  size_t used_ = 0;
  bool returned_ = false;
};

[[noreturn]] void tee(const std::array<Channel, 2>& channels, const int* terminals, int file,
                      int stop) {
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP})
    ::signal(number, SIG_IGN);
  static Line lines[2];
  static std::array<char, 1 << 16> block;
  bool open[2] = {true, true};
  bool ending = false;
  int stdout_error = 0;
  while (open[0] || open[1]) {
    pollfd waiting[3] = {{open[0] ? channels[0].read : -1, POLLIN, 0},
                         {open[1] ? channels[1].read : -1, POLLIN, 0},
                         {stop, POLLIN, 0}};
    const int ready = ::poll(waiting, 3, ending ? 0 : -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 && ending) break;  // nothing more is on its way
    for (int i = 0; i < 2; ++i) {
      if (waiting[i].revents == 0) continue;
      const ssize_t got = ::read(channels[static_cast<size_t>(i)].read, block.data(), block.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        open[i] = false;
        continue;
      }
      const int error = put(terminals[i], block.data(), static_cast<size_t>(got));
      if (i == 0 && error != 0 && error != EPIPE) stdout_error = error;
      lines[i].feed(file, block.data(), static_cast<size_t>(got));
    }
    if (waiting[2].revents != 0) {
      // A byte: the run takes its streams back. The end without one: it died, its children may
      // still speak.
      char byte = 0;
      ending = ::read(stop, &byte, 1) == 1;
      stop = -1;
    }
  }
  for (Line& line : lines) line.flush(file);
  ::_exit(stdout_error);  // numbers of errors are below 256
}

/// Closes all descriptors but those given: above all the run's lock, which must die with the run.
void close_others(std::array<int, 6> keep) {
  const long limit = ::sysconf(_SC_OPEN_MAX);
  for (int fd = 0; fd < (limit > 0 && limit < 65536 ? limit : 65536); ++fd) {
    bool kept = false;
    for (const int one : keep) kept = kept || one == fd;
    if (!kept) ::close(fd);
  }
}

std::filesystem::path log_in(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("output.{}.log", rank);
}

std::atomic<int> first_stdout_error{0};

// What a signal handler needs to give the streams back: set while a Capture lives.
std::array<std::atomic<int>, 2> own_streams{-1, -1};
std::atomic<int> captor{-1};  ///< its end of the socket pair hangs up when the process dies

/// The process that takes the output was killed (by hand, for memory): what this one writes goes
/// where it went before, and no write ends it. Nothing but system calls, as in any handler.
void give_back_streams(int /*signal*/) {
  const int error = errno;
  pollfd end{captor.load(), POLLIN, 0};
  if (end.fd >= 0 && ::poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0) {
    for (int i = 0; i < 2; ++i) {
      const int own = own_streams[static_cast<size_t>(i)].load();
      if (own >= 0) ::dup2(own, STDOUT_FILENO + i);
    }
  }
  errno = error;
}

/// Death of the process is told by SIGCHLD; a write that comes before it, by SIGPIPE.
void watch_captor() {
  struct sigaction action {};
  action.sa_handler = give_back_streams;
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &action, nullptr);
  ::sigaction(SIGPIPE, &action, nullptr);
}

// Of the Capture that lives, "" without one.
std::filesystem::path& kept_folder() {
  static std::filesystem::path instance;
  return instance;
}
std::mutex& kept_mutex() {
  static std::mutex instance;
  return instance;
}

}  // namespace

std::filesystem::path Capture::log_of(int rank) {
  const std::lock_guard lock(kept_mutex());
  return kept_folder().empty() ? std::filesystem::path() : log_in(kept_folder(), rank);
}

Capture::Capture(const std::filesystem::path& folder, int rank) {
  const std::string name = log_in(folder, rank).string();
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0)
    throw Error(fmt::format("cannot write {}: {}", name, std::strerror(errno)), Exit::kFailed);
  std::array<Channel, 2> channels;
  int stop[2] = {-1, -1};
  const bool ready = open_channel(STDOUT_FILENO, channels[0]) &&
                     open_channel(STDERR_FILENO, channels[1]) &&
                     ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stop) == 0;
  if (ready) {
    std::fflush(nullptr);
    for (int i = 0; i < 2; ++i) saved_[i] = ::fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
    // Without one of them the stream would be read and shown to nobody.
    if (saved_[0] >= 0 && saved_[1] >= 0) pid_ = ::fork();
    if (pid_ == 0) {
      close_others({channels[0].read, channels[1].read, saved_[0], saved_[1], file, stop[0]});
      tee(channels, saved_, file, stop[0]);
    }
  }
  const int error = errno;
  ::close(file);
  for (const Channel& channel : channels) {
    if (channel.read >= 0) ::close(channel.read);
  }
  if (stop[0] >= 0) ::close(stop[0]);
  stop_ = stop[1];
  for (int i = 0; i < 2; ++i) {
    const int write = channels[static_cast<size_t>(i)].write;
    if (pid_ > 0) ::dup2(write, STDOUT_FILENO + i);
    if (write >= 0) ::close(write);
  }
  if (pid_ <= 0) {
    for (const int saved : saved_) {
      if (saved >= 0) ::close(saved);
    }
    if (stop_ >= 0) ::close(stop_);
    throw Error(fmt::format("cannot capture the output: {}", std::strerror(error)), Exit::kFailed);
  }
  for (size_t i = 0; i < 2; ++i) own_streams[i] = saved_[i];
  captor = stop_;
  watch_captor();
  const std::lock_guard lock(kept_mutex());
  kept_folder() = folder;
}

Capture::~Capture() {
  {
    const std::lock_guard lock(kept_mutex());
    kept_folder().clear();
  }
  std::fflush(nullptr);
  captor = -1;
  own_streams[0] = own_streams[1] = -1;
  for (int i = 0; i < 2; ++i) {
    ::dup2(saved_[i], STDOUT_FILENO + i);
    ::close(saved_[i]);
  }
  const char byte = 1;
  ::send(stop_, &byte, 1, MSG_NOSIGNAL);  // it may have ended already, with the streams
  ::close(stop_);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  int none = 0;
  if (WIFEXITED(status)) first_stdout_error.compare_exchange_strong(none, WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    log::warn("the process that kept the output was killed: `exp logs` lacks what came after");
}

int Capture::stdout_error() { return first_stdout_error.load(); }

}  // namespace xp::tracker
