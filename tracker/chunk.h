#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace xp::tracker {

/// A block of points of one series as run.db keeps it: n steps (int64), n times (int64, ns since
/// 1970), n values (float64), all little-endian, one column after the other; 24 bytes a point.
struct Columns {
  std::vector<int64_t> step;
  std::vector<int64_t> time_ns;
  std::vector<double> value;

  size_t size() const { return step.size(); }
  void add(int64_t at_step, int64_t at_time, double at_value) {
    step.push_back(at_step);
    time_ns.push_back(at_time);
    value.push_back(at_value);
  }
  void clear() {
    step.clear();
    time_ns.clear();
    value.clear();
  }
};

inline constexpr size_t kChunkPoints = 256;

std::vector<std::byte> encode_chunk(const Columns& columns);

/// Throws Error (kData) when the size is not that of `n` points or the checksum differs.
Columns decode_chunk(std::span<const std::byte> data, size_t n, uint32_t crc);

/// CRC-32 as of zlib, PNG and Python's zlib.crc32.
uint32_t crc32_of(std::span<const std::byte> data);

}  // namespace xp::tracker
