#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "data/hdf5.h"
#include "data/shard_writer.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

void append(std::vector<std::byte>& out, int fd, const fs::path& shard, int64_t begin,
            int64_t end) {
  size_t at = out.size();
  out.resize(at + static_cast<size_t>(end - begin));
  while (begin < end) {
    const auto got = ::pread(fd, out.data() + at, static_cast<size_t>(end - begin), begin);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(fmt::format("cannot read {}: {}", shard.string(),
                              got == 0 ? "the file became shorter" : std::strerror(errno)),
                  Exit::kData);
    }
    at += static_cast<size_t>(got);
    begin += got;
  }
}

}  // namespace

uint64_t sum_outside_of_sound(int fd, const fs::path& shard, int64_t bytes, const Seal& seal) {
  std::vector<std::byte> rest;
  append(rest, fd, shard, 0, seal.sound_offset);
  append(rest, fd, shard, seal.sound_offset + seal.sound_bytes, bytes);
  return checksum64(rest);
}

Seal seal_of(const fs::path& shard) {
  const auto extent = h5::File::open(shard).extent("sound/data");
  Seal seal{static_cast<int64_t>(extent.offset), static_cast<int64_t>(extent.bytes), {}};
  const int fd = ::open(shard.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    throw Error(fmt::format("cannot open {}: {}", shard.string(), std::strerror(error)),
                Exit::kData);
  }
  try {
    seal.sum = sum_outside_of_sound(fd, shard, info.st_size, seal);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
  return seal;
}

}  // namespace xp::data
