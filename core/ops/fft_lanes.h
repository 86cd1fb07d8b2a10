#pragma once
// The FFT of XP_LANES frames at once: see log_mel_lanes.h for who includes this.
#include "core/ops/log_mel_kernel.h"
#include "core/ops/simd_lanes.h"

namespace xp::ops {
namespace {  // NOLINT(google-build-namespaces): see log_mel_kernel.h

/// In-place decimation in frequency. Point p lies in rows 2p (real) and 2p + 1 (imaginary). A pass
/// of radix r turns x[q], q = 0..r-1, `span` apart, into y[s] = w^(j s) sum_q x[q] exp(-2 pi i q s
/// / r) in the same places, so frequencies come out in digit-reversed order; since a row is a whole
/// vector, reading them in another order costs nothing and no pass has to reorder.
struct Point {
  Lanes re, im;
};

XP_INLINE Point get(const Lanes* x, int64_t p) { return {x[2 * p], x[2 * p + 1]}; }
XP_INLINE void put(Lanes* x, int64_t p, Point v) {
  x[2 * p] = v.re;
  x[2 * p + 1] = v.im;
}
XP_INLINE Point operator+(Point a, Point b) { return {a.re + b.re, a.im + b.im}; }
XP_INLINE Point operator-(Point a, Point b) { return {a.re - b.re, a.im - b.im}; }
/// -i a.
XP_INLINE Point turn(Point a) { return {a.im, -a.re}; }
/// a * (w[0] + i w[1]).
XP_INLINE Point times(Point a, const float* w) {
  const Lanes c = all(w[0]);
  const Lanes s = all(w[1]);
  return {nmadd(a.im, s, a.re * c), madd(a.re, s, a.im * c)};
}

XP_INLINE void radix2(Lanes* x, int64_t span, const float* w, bool twiddled) {
  const Point a = get(x, 0), b = get(x, span);
  put(x, 0, a + b);
  const Point d = a - b;
  put(x, span, twiddled ? times(d, w) : d);
}

XP_INLINE void radix4(Lanes* x, int64_t span, const float* w, bool twiddled) {
  const Point a = get(x, 0), b = get(x, span), c = get(x, 2 * span), d = get(x, 3 * span);
  const Point ac = a + c, ca = a - c, bd = b + d;
  const Point t = turn(b - d);
  put(x, 0, ac + bd);
  const Point y1 = ca + t, y2 = ac - bd, y3 = ca - t;
  put(x, span, twiddled ? times(y1, w) : y1);
  put(x, 2 * span, twiddled ? times(y2, w + 2) : y2);
  put(x, 3 * span, twiddled ? times(y3, w + 4) : y3);
}

/// Any radix: the sum as it is written. `sums`: room for 2 * radix rows.
XP_INLINE void radix_any(Lanes* x, const FftStage& stage, const float* w, bool twiddled,
                         Lanes* sums) {
  for (int64_t s = 0; s < stage.radix; ++s) {
    Point sum = get(x, 0);
    for (int64_t q = 1; q < stage.radix; ++q) {
      sum = sum + times(get(x, q * stage.span), stage.roots + 2 * ((q * s) % stage.radix));
    }
    put(sums, s, twiddled && s > 0 ? times(sum, w + 2 * (s - 1)) : sum);
  }
  for (int64_t s = 0; s < stage.radix; ++s) put(x, s * stage.span, get(sums, s));
}

/// One pass over `blocks` transforms. Twiddles depend on j alone, so the blocks are the inner loop.
XP_INLINE void fft_pass(Lanes* x, const FftStage& stage, int64_t blocks, Lanes* sums) {
  const int64_t step = 2 * stage.radix * stage.span;  // rows of a block
  for (int64_t j = 0; j < stage.span; ++j) {
    const float* w = stage.twiddles + 2 * (stage.radix - 1) * j;
    Lanes* p = x + 2 * j;
    const bool twiddled = j > 0;
    if (stage.radix == 4 && twiddled) {
      for (int64_t b = 0; b < blocks; ++b) radix4(p + b * step, stage.span, w, true);
    } else if (stage.radix == 4) {
      for (int64_t b = 0; b < blocks; ++b) radix4(p + b * step, stage.span, w, false);
    } else if (stage.radix == 2) {
      for (int64_t b = 0; b < blocks; ++b) radix2(p + b * step, stage.span, w, twiddled);
    } else {
      for (int64_t b = 0; b < blocks; ++b) radix_any(p + b * step, stage, w, twiddled, sums);
    }
  }
}

/// All passes. What does not fit the first-level cache is finished block by block after its first
/// pass.
XP_INLINE void fft(const KernelPlan& plan, Lanes* x, Lanes* sums) {
  constexpr int64_t kCacheBytes = 32 << 10;
  if (plan.stage_count == 0) return;
  const int64_t bytes = 2 * plan.half * static_cast<int64_t>(sizeof(Lanes));
  const int64_t parts = bytes > kCacheBytes ? plan.stages[0].radix : 1;
  fft_pass(x, plan.stages[0], 1, sums);
  for (int64_t b = 0; b < parts; ++b) {
    Lanes* part = x + b * (2 * plan.half / parts);
    for (int64_t s = 1; s < plan.stage_count; ++s) {
      fft_pass(part, plan.stages[s], plan.stages[s].blocks / parts, sums);
    }
  }
}

/// |X[k]|^2, k = 0..half-1, of the real signal of 2 * half samples whose even samples were the real
/// and odd samples the imaginary parts, all halved: E = Z[k] + conj Z[half-k], O = -i (Z[k] - conj
/// Z[half-k]), X[k] = E + exp(-2 pi i k / 2 half) O, X[half-k] = conj(E - ... O).
XP_INLINE void split_power(const KernelPlan& plan, const Lanes* z, Lanes* spectrum) {
  for (int64_t i = 0; i < plan.pair_count; ++i) {
    const SplitPair& pair = plan.pairs[i];
    const Point a = get(z, pair.bin_row), b = get(z, pair.mirror_row);
    const Point even = {a.re + b.re, a.im - b.im};
    const Point odd = {a.im + b.im, b.re - a.re};
    const Point t = times(odd, &pair.cos);
    const Point x = even + t, y = even - t;
    Lanes p = madd(x.im, x.im, x.re * x.re);
    Lanes q = madd(y.im, y.im, y.re * y.re);
    if (!plan.power) {
      p = square_root(p);
      q = square_root(q);
    }
    spectrum[pair.mirror] = q;
    spectrum[pair.bin] = p;
  }
}

}  // namespace
}  // namespace xp::ops
