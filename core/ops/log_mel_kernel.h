#pragma once

#include <cstdint>

namespace xp::ops {

/// What the instruction-set specific kernels share with the code that plans for them: plain data
/// only, because an inline function that two of them instantiate could be linked into a machine
/// that lacks its instructions.

/// One pass of the in-place FFT over `half` complex points: blocks * radix * span of them.
struct FftStage {
  int64_t radix = 0;
  int64_t span = 0;                 ///< distance of a butterfly's points
  int64_t blocks = 0;               ///< transforms of radix * span points each
  const float* twiddles = nullptr;  ///< [span][radix - 1] pairs of exp(-2 pi i j s / (radix span))
  const float* roots =
      nullptr;  ///< [radix] pairs of exp(-2 pi i q / radix), for radices without code of their own
};

/// A triangle: bins first..first+count-1 with `weights`.
struct MelFilter {
  int64_t first = 0;
  int64_t count = 0;
  const float* weights = nullptr;
};

/// A pair of spectrum bins k and half - k that are split out of the half-size transform together.
struct SplitPair {
  int32_t bin, mirror;          ///< k, half - k
  int32_t bin_row, mirror_row;  ///< where the transform leaves them (digit-reversed)
  float cos, sin;               ///< of -2 pi k / fft_size
};

struct KernelPlan {
  int64_t window = 0, hop = 0, half = 0;  ///< samples; half = fft_size / 2
  const float* window_values = nullptr;   ///< [window], times 0.5 for the split
  const FftStage* stages = nullptr;
  int64_t stage_count = 0;
  int64_t max_radix = 0;
  const SplitPair* pairs = nullptr;
  int64_t pair_count = 0;
  const MelFilter* filters = nullptr;
  int64_t mel_bins = 0;
  int64_t first_mel_row = 0;  ///< 1 with an energy column in front
  int64_t energy_row = -1;    ///< -1: none
  bool remove_frame_mean = false;
  bool frame_preemphasis = false;
  bool clip_preemphasis = false;
  bool reflect_edge_twice = false;  ///< x[-1] = x[0] (mirrored) instead of x[-1] = x[1] (centred)
  bool power = true;
  bool log = true;
  bool raw_energy = true;
  float preemphasis = 0;
  float log_floor = 0;
  float log_offset = 0;
  float energy_floor = 0;
  int64_t first_start = 0;  ///< sample at which frame 0 begins, may be negative
};

struct KernelJob {
  const float* wave = nullptr;
  int64_t samples = 0;  ///< of `wave`
  float clip_mean = 0;
  int64_t frames = 0;  ///< to compute
  float* out = nullptr;
  int64_t row_stride = 0;
  float mean = 0, scale = 1;
  float* scratch = nullptr;  ///< scratch_floats(plan) floats, 64-byte aligned
};

/// One instruction set's code.
struct Kernel {
  int64_t lanes;
  int64_t (*scratch_floats)(const KernelPlan& plan);
  void (*run)(const KernelPlan& plan, const KernelJob& job);
  double (*sum)(const float* x, int64_t n);          ///< the same bits in every instruction set
  void (*log)(const float* x, float* y, int64_t n);  ///< natural log of n normal floats (tests)
};

extern const Kernel kLogMelBaseline;
extern const Kernel kLogMelAvx2;    // x86-64 only
extern const Kernel kLogMelAvx512;  // x86-64 only

}  // namespace xp::ops
