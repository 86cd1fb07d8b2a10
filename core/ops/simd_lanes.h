#pragma once
// Vectors of XP_LANES floats for one instruction set. Included only by the files that folder.cmake
// compiles with that set's flags. Everything here has internal linkage and is inlined: see
// log_mel_kernel.h. Contraction is off in these files; `madd` alone fuses, so AVX2 and AVX-512
// round alike.
#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef XP_LANES
#error "XP_LANES is set by the file that includes this"
#endif

#define XP_INLINE static inline __attribute__((always_inline))

namespace xp::ops {
namespace {  // NOLINT(google-build-namespaces): see log_mel_kernel.h

constexpr int64_t kLanes = XP_LANES;
typedef float Lanes __attribute__((vector_size(4 * XP_LANES)));
typedef int32_t IntLanes __attribute__((vector_size(4 * XP_LANES)));
typedef float LooseLanes __attribute__((vector_size(4 * XP_LANES), aligned(4), may_alias));

XP_INLINE Lanes load(const float* p) { return *reinterpret_cast<const LooseLanes*>(p); }
XP_INLINE void store(float* p, Lanes v) { *reinterpret_cast<LooseLanes*>(p) = v; }
XP_INLINE Lanes all(float x) { return Lanes{} + x; }

/// a * b + c, rounded once where the machine can.
XP_INLINE Lanes madd(Lanes a, Lanes b, Lanes c) {
#if XP_LANES == 16
  return (Lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif XP_LANES == 8
  return (Lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
/// c - a * b.
XP_INLINE Lanes nmadd(Lanes a, Lanes b, Lanes c) {
#if XP_LANES == 16
  return (Lanes)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif XP_LANES == 8
  return (Lanes)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return c - a * b;
#endif
}

XP_INLINE Lanes square_root(Lanes x) {
#if XP_LANES == 16
  return (Lanes)_mm512_sqrt_ps((__m512)x);
#elif XP_LANES == 8
  return (Lanes)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Lanes)_mm_sqrt_ps((__m128)x);
#else
  for (int64_t i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

/// The larger; a NaN in `x` stays.
XP_INLINE Lanes at_least(Lanes x, Lanes floor) { return floor > x ? floor : x; }

/// Natural log of positive normal floats; infinity and NaN come back as they are.
/// x = 2^e m, m in [sqrt(1/2), sqrt(2)), f = m - 1: log x = e log 2 + f - f^2/2 + f^3 P(f), where P
/// of degree 7 interpolates at the Chebyshev points of the interval (relative error of the
/// log 1.9e-8, before rounding).
XP_INLINE Lanes natural_log(Lanes x) {
  const IntLanes bits = (IntLanes)x;
  const IntLanes shifted = bits - 0x3f3504f3;  // sqrt(1/2)
  const IntLanes exponent = shifted >> 23;
  const Lanes m = (Lanes)((shifted & 0x007fffff) + 0x3f3504f3);
  const Lanes e = __builtin_convertvector(exponent, Lanes);
  const Lanes f = m - 1.0F;
  const Lanes f2 = f * f;
  // Pairs first (Estrin), for a shorter chain than Horner's.
  const Lanes p01 = madd(f, all(-0.25000306422569796F), all(0.33333330728190674F));
  const Lanes p23 = madd(f, all(-0.16641281463106394F), all(0.2000104509416068F));
  const Lanes p45 = madd(f, all(-0.1299818376365153F), all(0.14214495923947962F));
  const Lanes p67 = madd(f, all(-0.0790274377239344F), all(0.12622319849228375F));
  const Lanes f4 = f2 * f2;
  const Lanes p = madd(f4, madd(f2, p67, p45), madd(f2, p23, p01));
  // log 2 in two parts: e * 0.693359375 is exact.
  Lanes y = f * f2 * p;
  y = madd(e, all(-2.12194440054690583e-4F), y);
  y = nmadd(all(0.5F), f2, y);
  const Lanes result = madd(e, all(0.693359375F), f + y);
  return x < all(__builtin_inff()) ? result : x;
}

/// r[j], j = 0..3: sample x[l * hop + j] in lane l. Four samples of each frame are loaded into
/// their 128-bit part of a vector, so that only a 4 x 4 transposition within the parts is left.
XP_INLINE void load_quad(const float* x, int64_t hop, Lanes* r) {
#if XP_LANES == 16
  for (int64_t j = 0; j < 4; ++j) {
    const float* y = x + j * hop;
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(y));
    v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(y + 4 * hop));
    v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(y + 8 * hop));
    v = _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(y + 12 * hop));
    r[j] = (Lanes)v;
  }
  const __m512 a = _mm512_unpacklo_ps((__m512)r[0], (__m512)r[1]);
  const __m512 b = _mm512_unpacklo_ps((__m512)r[2], (__m512)r[3]);
  const __m512 c = _mm512_unpackhi_ps((__m512)r[0], (__m512)r[1]);
  const __m512 d = _mm512_unpackhi_ps((__m512)r[2], (__m512)r[3]);
  r[0] = (Lanes)_mm512_shuffle_ps(a, b, 0x44);
  r[1] = (Lanes)_mm512_shuffle_ps(a, b, 0xee);
  r[2] = (Lanes)_mm512_shuffle_ps(c, d, 0x44);
  r[3] = (Lanes)_mm512_shuffle_ps(c, d, 0xee);
#elif XP_LANES == 8
  for (int64_t j = 0; j < 4; ++j) {
    const float* y = x + j * hop;
    const __m256 v = _mm256_castps128_ps256(_mm_loadu_ps(y));
    r[j] = (Lanes)_mm256_insertf128_ps(v, _mm_loadu_ps(y + 4 * hop), 1);
  }
  const __m256 a = _mm256_unpacklo_ps((__m256)r[0], (__m256)r[1]);
  const __m256 b = _mm256_unpacklo_ps((__m256)r[2], (__m256)r[3]);
  const __m256 c = _mm256_unpackhi_ps((__m256)r[0], (__m256)r[1]);
  const __m256 d = _mm256_unpackhi_ps((__m256)r[2], (__m256)r[3]);
  r[0] = (Lanes)_mm256_shuffle_ps(a, b, 0x44);
  r[1] = (Lanes)_mm256_shuffle_ps(a, b, 0xee);
  r[2] = (Lanes)_mm256_shuffle_ps(c, d, 0x44);
  r[3] = (Lanes)_mm256_shuffle_ps(c, d, 0xee);
#else
  for (int64_t j = 0; j < 4; ++j) r[j] = load(x + j * hop);
  const Lanes a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
  const Lanes b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  const Lanes c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const Lanes d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
#endif
}

}  // namespace
}  // namespace xp::ops
