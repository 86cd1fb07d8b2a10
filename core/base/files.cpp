#include "core/base/files.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"

namespace xp {
namespace fs = std::filesystem;
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(std::string_view what, const fs::path& path, Exit code) {
  const int error = errno;
  std::string hint;
  if (error == ENOSPC) hint = "; free some space and run the same command again";
  if (error == EFBIG) hint = "; `ulimit -f` limits the size of files";
  if (error == EMFILE) hint = "; `ulimit -n` limits how many files are open at a time";
  if (error == EACCES || error == EROFS) hint = "; check the permissions of this folder";
  throw Error(fmt::format("cannot {} {}: {}{}", what, path.string(), std::strerror(error), hint),
              code);
}

void write_all(int fd, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const auto wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0) {
      if (errno == EINTR) continue;
      fail("write", path, Exit::kFailed);
    }
    text.remove_prefix(static_cast<size_t>(wrote));
  }
}

// What a link leads to, be it there or not. A link of /proc names no path but something open, so it
// is taken as it is.
fs::path target_of(fs::path path) {
  constexpr int kMostLinks = 40;  // as the kernel has it
  for (int links = 0; links < kMostLinks; ++links) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
    const fs::path absolute = fs::absolute(path).lexically_normal();
    if (absolute.string().starts_with("/proc/")) return path;
    std::error_code error;
    const fs::path to = fs::read_symlink(path, error);
    if (error) break;
    path = path.parent_path() / to;  // an absolute one takes its place
  }
  errno = ELOOP;
  fail("write", path, Exit::kFailed);
}

// False for what may only be written into: a device, a pipe, something open.
bool is_replaceable(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return true;  // not there yet
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    fail("write", path, Exit::kFailed);
  }
  return S_ISREG(info.st_mode);
}

// Writes the content of `from` into `to` behind what is there.
void pour(const fs::path& from, const fs::path& to) {
  const Descriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) fail("read", from, Exit::kFailed);
  const Descriptor out(::open(to.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (out.get() < 0) fail("write", to, Exit::kFailed);
  std::string block(1 << 16, '\0');
  while (true) {
    const auto got = ::read(in.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", from, Exit::kFailed);
    if (got == 0) return;
    write_all(out.get(), std::string_view(block).substr(0, static_cast<size_t>(got)), to);
  }
}

}  // namespace

void require_regular_file(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) fail("read", file, Exit::kData);
  if (S_ISREG(info.st_mode)) return;
  const char* what = S_ISDIR(info.st_mode)    ? "a folder"
                     : S_ISFIFO(info.st_mode) ? "a pipe"
                     : S_ISSOCK(info.st_mode) ? "a socket"
                                              : "a device";
  throw Error(fmt::format("cannot read {}: it is {}, not a regular file", file.string(), what),
              Exit::kData);
}

std::string read_file(const fs::path& file, std::size_t most) {
  require_regular_file(file);
  const Descriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) fail("read", file, Exit::kData);
  std::string out;
  std::string block(1 << 16, '\0');
  while (out.size() < most) {
    const auto got = ::read(in.get(), block.data(), std::min(block.size(), most - out.size()));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail("read", file, Exit::kData);
    }
    if (got == 0) break;
    out.append(block.data(), static_cast<size_t>(got));
  }
  return out;
}

AtomicFile::AtomicFile(const fs::path& final_path)
    : final_(target_of(final_path)), replaces_(is_replaceable(final_)) {
  const std::string name = final_.filename().string() + ".tmp-" + make_ulid();
  temporary_ = (replaces_ ? final_.parent_path() : fs::temp_directory_path()) / name;
}

AtomicFile::~AtomicFile() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  if (!replaces_) {
    pour(temporary_, final_);
    return;  // the destructor removes what was poured
  }
  sync_path(temporary_);
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) fail("write", final_, Exit::kFailed);
  committed_ = true;
  sync_path(final_.has_parent_path() ? final_.parent_path() : fs::path("."));
}

void write_file_atomic(const fs::path& file, std::string_view text) {
  AtomicFile out(file);
  {
    const Descriptor fd(::open(out.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd.get() < 0) fail("write", file, Exit::kFailed);
    write_all(fd.get(), text, file);
  }
  out.commit();
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    errno = error.value();
    fail("make the folder", folder, Exit::kFailed);
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) fail("write in", folder, Exit::kFailed);
}

void sync_path(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) fail("open", path, Exit::kFailed);
  // Some file systems have no fsync for folders; EINVAL says so and is no loss.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail("sync", path, Exit::kFailed);
}

void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() || entry.is_directory()) sync_path(entry.path());
  }
  sync_path(folder);
}

bool publish_folder(const fs::path& built, const fs::path& final_path) {
  sync_tree(built);
  if (::rename(built.c_str(), final_path.c_str()) != 0) {
    if (errno == EEXIST || errno == ENOTEMPTY) return false;
    fail("write", final_path, Exit::kFailed);
  }
  sync_path(final_path.has_parent_path() ? final_path.parent_path() : fs::path("."));
  return true;
}

// The exclusive lock is on the first byte of the file, the shared one on the second; a lock needs
// no bytes to be there.
std::optional<FileLock> FileLock::take(const fs::path& file, int type, int64_t from,
                                       int64_t bytes) {
  while (true) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) fail("open the lock", file, Exit::kFailed);
    FileLock lock(file, fd);
    struct flock range {};
    range.l_type = static_cast<short>(type);
    range.l_whence = SEEK_SET;
    range.l_start = from;
    range.l_len = bytes;
    if (::fcntl(fd, F_OFD_SETLK, &range) == 0) {
      // Somebody may have removed the file between the two calls: another one would lock a new one.
      if (lock.in_place()) return lock;
      continue;
    }
    if (errno == EAGAIN || errno == EACCES) return std::nullopt;
    fail("lock", file, Exit::kFailed);
  }
}

std::optional<FileLock> FileLock::try_acquire(const fs::path& file) {
  return take(file, F_WRLCK, 0, 1);
}

std::optional<FileLock> FileLock::try_acquire_unused(const fs::path& file) {
  return take(file, F_WRLCK, 0, 2);
}

std::optional<FileLock> FileLock::share(const fs::path& file) {
  try {
    return take(file, F_RDLCK, 1, 1);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<FileLock> FileLock::acquire(const fs::path& file,
                                          const std::function<bool()>& waiting) {
  while (true) {
    if (auto lock = try_acquire(file)) return lock;
    if (!waiting()) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

FileLock FileLock::wait(const fs::path& file) {
  while (true) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) fail("open the lock", file, Exit::kFailed);
    FileLock lock(file, fd);
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_len = 1;
    while (::fcntl(fd, F_OFD_SETLKW, &range) != 0) {
      if (errno != EINTR) fail("lock", file, Exit::kFailed);
    }
    if (lock.in_place()) return lock;
  }
}

bool FileLock::in_place() const {
  struct stat held {};
  struct stat named {};
  return ::fstat(descriptor_, &held) == 0 && ::stat(file_.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

uint64_t free_bytes(const fs::path& path) {
  fs::path at = fs::absolute(path);
  while (!fs::exists(at) && at.has_relative_path()) at = at.parent_path();
  struct statvfs info {};
  if (::statvfs(at.c_str(), &info) != 0) fail("look at", at, Exit::kFailed);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

fs::path expand_user(std::string_view path) {
  if (path == "~" || path.starts_with("~/")) {
    const char* home = std::getenv("HOME");
    if (home != nullptr && *home != '\0')
      return fs::path(home) / (path.size() > 2 ? path.substr(2) : "");
  }
  return fs::path(path);
}

}  // namespace xp
