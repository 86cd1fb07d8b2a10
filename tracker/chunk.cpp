#include "tracker/chunk.h"

#include <bit>
#include <cstring>

#include <zlib.h>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::tracker {

static_assert(std::endian::native == std::endian::little,
              "chunks are copied as they lie in memory");

std::vector<std::byte> encode_chunk(const Columns& columns) {
  const size_t bytes = columns.size() * 8;
  std::vector<std::byte> out(bytes * 3);
  if (bytes == 0) return out;
  std::memcpy(out.data(), columns.step.data(), bytes);
  std::memcpy(out.data() + bytes, columns.time_ns.data(), bytes);
  std::memcpy(out.data() + 2 * bytes, columns.value.data(), bytes);
  return out;
}

Columns decode_chunk(std::span<const std::byte> data, size_t n, uint32_t crc) {
  if (data.size() != n * 24) {
    throw Error(
        fmt::format("a block of {} points has {} bytes, expected {}", n, data.size(), n * 24),
        Exit::kData);
  }
  if (crc32_of(data) != crc) {
    throw Error(fmt::format("a block of {} points has a wrong checksum", n), Exit::kData);
  }
  Columns out;
  out.step.resize(n);
  out.time_ns.resize(n);
  out.value.resize(n);
  if (n == 0) return out;
  std::memcpy(out.step.data(), data.data(), n * 8);
  std::memcpy(out.time_ns.data(), data.data() + n * 8, n * 8);
  std::memcpy(out.value.data(), data.data() + n * 16, n * 8);
  return out;
}

uint32_t crc32_of(std::span<const std::byte> data) {
  return static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(data.data()),
                                         static_cast<z_size_t>(data.size())));
}

}  // namespace xp::tracker
