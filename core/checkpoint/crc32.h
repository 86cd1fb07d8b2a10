#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace xp::checkpoint {

/// CRC-32 of zip (reflected polynomial 0xedb88320), as fast as memory is read: checkpoints are
/// checked whenever they are loaded.
uint32_t crc32_of(std::span<const std::byte> bytes);

}  // namespace xp::checkpoint
