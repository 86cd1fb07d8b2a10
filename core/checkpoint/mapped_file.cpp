#include "core/checkpoint/mapped_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"

namespace xp::checkpoint {

namespace {

[[noreturn]] void refuse_unread(const std::filesystem::path& file) {
  throw Error(Place{file.string()}, std::string("cannot be read: ") + std::strerror(errno),
              Exit::kData);
}

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& file) {
  // A pipe is not waited for: it is refused.
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) refuse_unread(file);
  struct stat status {};
  const bool known = ::fstat(descriptor, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    if (known) errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    const int reason = errno;
    ::close(descriptor);
    errno = reason;
    refuse_unread(file);
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    ::close(descriptor);
    return {};
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  if (address == MAP_FAILED) {
    errno = reason;
    refuse_unread(file);
  }
  MappedFile mapped;
  mapped.bytes = {static_cast<const std::byte*>(address), size};
  mapped.owner = std::shared_ptr<const void>(
      address, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  return mapped;
}

}  // namespace xp::checkpoint
