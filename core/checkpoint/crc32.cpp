// Bytes are coefficients of a polynomial over GF(2), and the CRC is its remainder. Where the
// machine multiplies such polynomials, 64 bytes at a time are folded into the next 64: a block
// times x^n is replaced by its product with x^n mod P, which has the same remainder (V. Gopal et
// al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ, Intel 2009). The rest, and
// every other machine, is zlib's.
#include "core/checkpoint/crc32.h"

#include <algorithm>

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace xp::checkpoint {
namespace {

#if defined(__x86_64__)

constexpr uint32_t kPolynomial = 0x04c11db7;  // without x^32, the highest power first

constexpr uint64_t reversed(uint64_t value, int bits) {
  uint64_t out = 0;
  for (int i = 0; i < bits; ++i) out |= (value >> i & 1) << (bits - 1 - i);
  return out;
}

/// x^n mod P in the bit order of zip, as a factor of a carry-less product, which is one bit short.
constexpr uint64_t power(int n) {
  uint32_t value = 1;
  for (int i = 0; i < n; ++i) value = value << 1 ^ (value >> 31 != 0 ? kPolynomial : 0);
  return reversed(value, 32) << 1;
}

/// floor(x^64 / P), for the division at the end.
constexpr uint64_t quotient() {
  uint64_t out = 1;  // of x^64 by the leading x^32
  uint64_t rest = uint64_t{kPolynomial} << 32;
  for (int i = 31; i >= 0; --i) {
    const bool one = (rest >> (i + 32) & 1) != 0;
    out = out << 1 | static_cast<uint64_t>(one);
    if (one) rest ^= uint64_t{kPolynomial} << i | uint64_t{1} << (i + 32);
  }
  return reversed(out, 33);
}

constexpr size_t kLane = 16;
constexpr size_t kStep = 4 * kLane;

__attribute__((target("pclmul,sse4.1"))) __m128i folded(__m128i lane, __m128i factors,
                                                        __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(lane, factors, 0x00);
  const __m128i high = _mm_clmulepi64_si128(lane, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/// The register after `size` bytes, a multiple of 16 and at least 64.
__attribute__((target("pclmul,sse4.1"))) uint32_t fold(uint32_t state, const std::byte* bytes,
                                                       size_t size) {
  const auto load = [&](size_t at) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + at));
  };
  const auto pair = [](uint64_t low, uint64_t high) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
  };
  __m128i lanes[4] = {load(0), load(kLane), load(2 * kLane), load(3 * kLane)};
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int32_t>(state)));
  size_t at = kStep;
  constexpr uint64_t kFar[2] = {power(4 * 128 + 32), power(4 * 128 - 32)};
  const __m128i far = pair(kFar[0], kFar[1]);
  for (; size - at >= kStep; at += kStep)
    for (size_t i = 0; i < 4; ++i) lanes[i] = folded(lanes[i], far, load(at + i * kLane));

  constexpr uint64_t kNear[2] = {power(128 + 32), power(128 - 32)};
  const __m128i near = pair(kNear[0], kNear[1]);
  __m128i rest = lanes[0];
  for (size_t i = 1; i < 4; ++i) rest = folded(rest, near, lanes[i]);
  for (; at < size; at += kLane) rest = folded(rest, near, load(at));

  // 128 bits to 96, to 64, and those divided by P (Barrett).
  constexpr uint64_t kLast = power(64);
  constexpr uint64_t kDivide[2] = {reversed(uint64_t{1} << 32 | kPolynomial, 33), quotient()};
  const __m128i word = _mm_setr_epi32(-1, 0, -1, 0);
  rest = _mm_xor_si128(_mm_srli_si128(rest, 8), _mm_clmulepi64_si128(rest, near, 0x10));
  rest = _mm_xor_si128(_mm_srli_si128(rest, 4),
                       _mm_clmulepi64_si128(_mm_and_si128(rest, word), pair(kLast, 0), 0x00));
  const __m128i divide = pair(kDivide[0], kDivide[1]);
  __m128i part = _mm_clmulepi64_si128(_mm_and_si128(rest, word), divide, 0x10);
  part = _mm_clmulepi64_si128(_mm_and_si128(part, word), divide, 0x00);
  return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(rest, part), 1));
}

bool can_fold() { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }

#endif

}  // namespace

uint32_t crc32_of(std::span<const std::byte> bytes) {
  uint32_t crc = 0;
#if defined(__x86_64__)
  if (bytes.size() >= kStep && can_fold()) {
    const size_t whole = bytes.size() / kLane * kLane;
    crc = ~fold(~crc, bytes.data(), whole);
    bytes = bytes.subspan(whole);
  }
#endif
  constexpr size_t kPiece = 1U << 30;  // zlib counts in 32 bits
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPiece));
    crc = static_cast<uint32_t>(::crc32(crc, reinterpret_cast<const Bytef*>(piece.data()),
                                        static_cast<uInt>(piece.size())));
    bytes = bytes.subspan(piece.size());
  }
  return crc;
}

}  // namespace xp::checkpoint
