#include "core/ops/uniform_noise.h"

namespace xp::ops {
namespace {

inline uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bU;
  x ^= x >> 13;
  x *= 0xc2b2ae35U;
  return x ^ (x >> 16);
}

}  // namespace

void uniform_noise(uint64_t key, float* out, int64_t n) {
  const auto low = static_cast<uint32_t>(key);
  const auto high = static_cast<uint32_t>(key >> 32);
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = mix(mix(static_cast<uint32_t>(i) + low) ^ high) >> 8;
    out[i] = static_cast<float>(static_cast<int32_t>(bits)) * 0x1p-24F;
  }
}

}  // namespace xp::ops
