#pragma once

#include <cstdint>

namespace xp::ops {

/// out[i] = U[0, 1) of 24 bits, a pure function of (key, i): the same on every machine. An integer
/// hash of the counter (two rounds of the 32-bit finaliser of MurmurHash3, keyed in between), which
/// a compiler vectorises; good enough to be heard as noise, not for statistics.
void uniform_noise(uint64_t key, float* out, int64_t n);

}  // namespace xp::ops
