#include "data/encoded.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace xp::data {
namespace {

constexpr uint64_t kLargestFile = uint64_t{4} << 30U;
constexpr size_t kBuffer = size_t{1} << 16U;

size_t copy_from(std::span<const std::byte> bytes, size_t at, std::span<std::byte> out) {
  if (at >= bytes.size()) return 0;
  const size_t count = std::min(out.size(), bytes.size() - at);
  std::memcpy(out.data(), bytes.data() + at, count);
  return count;
}

}  // namespace

size_t EncodedMemory::read(size_t at, std::span<std::byte> out) {
  return copy_from(bytes_, at, out);
}

EncodedFile::EncodedFile(const std::string& file)
    // A pipe is not waited for: it is refused.
    : fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) {
    problem_ = fmt::format("cannot be opened: {}", std::strerror(errno));
  } else if (::fstat(fd_, &info_) != 0 || !S_ISREG(info_.st_mode)) {
    problem_ = "not a regular file";
  } else if (static_cast<uint64_t>(info_.st_size) > kLargestFile) {
    problem_ = "larger than 4 GB";
  } else {
    size_ = static_cast<size_t>(info_.st_size);
  }
}

EncodedFile::~EncodedFile() {
  if (fd_ >= 0) ::close(fd_);
}

bool EncodedFile::look(struct stat& now) const { return fd_ >= 0 && ::fstat(fd_, &now) == 0; }

size_t EncodedFile::fetch(size_t at, std::span<std::byte> out) {
  const size_t wanted = at < size_ ? std::min(out.size(), size_ - at) : 0;
  size_t done = 0;
  while (done < wanted) {
    const auto got = ::pread(fd_, out.data() + done, wanted - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem_ = fmt::format("cannot be read: {}", std::strerror(errno));
    if (got == 0) problem_ = "became shorter while it was read";
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

size_t EncodedFile::read(size_t at, std::span<std::byte> out) {
  if (out.size() >= kBuffer) return fetch(at, out);
  const bool held = at >= buffer_at_ && at + out.size() <= buffer_at_ + buffer_.size();
  if (!held) {
    buffer_.resize(kBuffer);
    buffer_at_ = at;
    buffer_.resize(fetch(at, buffer_));
  }
  return copy_from(buffer_, at - buffer_at_, out);
}

}  // namespace xp::data
