#pragma once
// Log-mel of XP_LANES frames at once, one frame in each lane: the whole kernel, compiled once for
// each instruction set by log_mel_{baseline,avx2,avx512}.cpp.
//
// For each group of frames:
//   1. the stretch of signal that they cover, mean-free, pre-emphasised and mirrored at the ends
//   (`prepare`);
//      where nothing of this is asked, the wave itself;
//   2. transposed into one vector per sample (`gather`), then mean, pre-emphasis and window of each
//   frame;
//      samples 2p and 2p+1 are the rows of complex point p, so the windowed frame is the FFT's
//      input as it lies;
//   3. in-place FFT, power spectrum, triangular filters, log; [F, T] rows are stored a vector at a
//   time.
// A group of 16 frames of a 512-point transform takes 48 kB of scratch.
#include "core/ops/fft_lanes.h"

namespace xp::ops {
namespace {  // NOLINT(google-build-namespaces): see log_mel_kernel.h

XP_INLINE int64_t up_to(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// Floats of the longest stretch, with room for the loads that reach past its end.
XP_INLINE int64_t stretch_floats(const KernelPlan& plan) {
  return up_to((kLanes - 1) * plan.hop + up_to(plan.window, 4) + 16, 16);
}

int64_t scratch_floats(const KernelPlan& plan) {
  const int64_t rows = 2 * plan.half + 4 + plan.half + 2 * plan.max_radix;
  return stretch_floats(plan) + rows * kLanes;
}

XP_INLINE int64_t mirrored(int64_t i, int64_t n, bool twice) {
  const int64_t period = twice ? 2 * n : 2 * (n - 1);
  if (period == 0) return 0;
  int64_t r = i % period;
  if (r < 0) r += period;
  return r < n ? r : (twice ? period - 1 - r : period - r);
}

XP_INLINE float signal_at(const KernelPlan& plan, const KernelJob& job, int64_t i) {
  if (!plan.clip_preemphasis) return job.wave[i] - job.clip_mean;
  return (job.wave[i + 1] - job.clip_mean) - plan.preemphasis * (job.wave[i] - job.clip_mean);
}

/// `count` values of the signal from `start` on, then zeros up to `room`.
XP_INLINE void prepare(const KernelPlan& plan, const KernelJob& job, int64_t start, int64_t count,
                       int64_t room, float* stretch) {
  const int64_t n = job.samples - (plan.clip_preemphasis ? 1 : 0);
  int64_t i = 0;
  for (; i < count && start + i < 0; ++i) {
    stretch[i] = signal_at(plan, job, mirrored(start + i, n, plan.reflect_edge_twice));
  }
  const int64_t inside = n - start < count ? n - start : count;
  const float* x = job.wave;
  const float mean = job.clip_mean;
  if (plan.clip_preemphasis) {
    const float c = plan.preemphasis;
    for (; i < inside; ++i) stretch[i] = (x[start + i + 1] - mean) - c * (x[start + i] - mean);
  } else {
    for (; i < inside; ++i) stretch[i] = x[start + i] - mean;
  }
  for (; i < count; ++i) {
    stretch[i] = signal_at(plan, job, mirrored(start + i, n, plan.reflect_edge_twice));
  }
  for (; i < room; ++i) stretch[i] = 0;
}

/// rows[i] = sample i of each frame; returns the sums over the window.
XP_INLINE Lanes gather(const KernelPlan& plan, const float* stretch, Lanes* rows) {
  Lanes sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= plan.window; i += 4) {
    load_quad(stretch + i, plan.hop, rows + i);
    for (int64_t j = 0; j < 4; ++j) sums[j] += rows[i + j];
  }
  if (i < plan.window) {
    load_quad(stretch + i, plan.hop, rows + i);
    for (int64_t j = 0; i + j < plan.window; ++j) sums[j] += rows[i + j];
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

XP_INLINE Lanes sum_of_squares(const Lanes* rows, int64_t n, Lanes mean) {
  Lanes sum = {};
  for (int64_t i = 0; i < n; ++i) sum = madd(rows[i] - mean, rows[i] - mean, sum);
  return sum;
}

/// Mean, pre-emphasis and window in place, zeros up to the transform's size.
XP_INLINE void shape(const KernelPlan& plan, Lanes mean, Lanes* rows) {
  if (plan.frame_preemphasis) {
    const Lanes c = all(plan.preemphasis);
    Lanes before = rows[0] - mean;
    for (int64_t i = 0; i < plan.window; ++i) {
      const Lanes now = rows[i] - mean;
      rows[i] = nmadd(c, before, now) * plan.window_values[i];
      before = now;
    }
  } else {
    for (int64_t i = 0; i < plan.window; ++i) rows[i] = (rows[i] - mean) * plan.window_values[i];
  }
  for (int64_t i = plan.window; i < 2 * plan.half; ++i) rows[i] = Lanes{};
}

/// Writes one row of the group: all lanes, or the first `count`.
XP_INLINE void write(const KernelJob& job, int64_t row, int64_t frame, int64_t count, Lanes v) {
  v = (v - job.mean) * job.scale;
  float* out = job.out + row * job.row_stride + frame;
  if (count == kLanes) {
    store(out, v);
  } else {
    for (int64_t l = 0; l < count; ++l) out[l] = v[l];
  }
}

XP_INLINE Lanes energy_of(const KernelPlan& plan, Lanes sum) {
  constexpr float kEpsilon = 1.1920928955078125e-07F;
  return natural_log(at_least(at_least(sum, all(kEpsilon)), all(plan.energy_floor)));
}

void run(const KernelPlan& plan, const KernelJob& job) {
  const int64_t room = stretch_floats(plan);
  float* stretch = job.scratch;
  Lanes* rows = reinterpret_cast<Lanes*>(job.scratch + room);
  Lanes* spectrum = rows + 2 * plan.half + 4;
  Lanes* sums = spectrum + plan.half;
  const bool direct = !plan.clip_preemphasis && job.clip_mean == 0;
  for (int64_t t = 0; t < job.frames; t += kLanes) {
    const int64_t count = job.frames - t < kLanes ? job.frames - t : kLanes;
    const int64_t start = plan.first_start + t * plan.hop;
    const float* source = stretch;
    if (direct && start >= 0 && start + room <= job.samples) {
      source = job.wave + start;
    } else {
      prepare(plan, job, start, (count - 1) * plan.hop + plan.window, room, stretch);
    }
    const Lanes sum = gather(plan, source, rows);
    const Lanes mean =
        plan.remove_frame_mean ? sum / all(static_cast<float>(plan.window)) : Lanes{};
    if (plan.energy_row >= 0 && plan.raw_energy) {
      write(job, plan.energy_row, t, count,
            energy_of(plan, sum_of_squares(rows, plan.window, mean)));
    }
    shape(plan, mean, rows);
    if (plan.energy_row >= 0 && !plan.raw_energy) {
      const Lanes halves = sum_of_squares(rows, plan.window, Lanes{});
      write(job, plan.energy_row, t, count, energy_of(plan, halves * 4.0F));
    }
    fft(plan, rows, sums);
    split_power(plan, rows, spectrum);
    for (int64_t m = 0; m < plan.mel_bins; ++m) {
      const MelFilter& filter = plan.filters[m];
      Lanes mel = {};
      for (int64_t k = 0; k < filter.count; ++k) {
        mel = madd(spectrum[filter.first + k], all(filter.weights[k]), mel);
      }
      if (plan.log) mel = natural_log(at_least(mel, all(plan.log_floor)) + plan.log_offset);
      write(job, plan.first_mel_row + m, t, count, mel);
    }
  }
}

/// Sum in 64 float columns, emptied into double every 64 x 64 values. The columns are the same
/// whatever the width of a vector.
double sum_of(const float* x, int64_t n) {
  constexpr int64_t kColumns = 64;
  constexpr int64_t kBlock = 64 * kColumns;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = n - begin < kBlock ? n : begin + kBlock;
    Lanes columns[kColumns / kLanes] = {};
    int64_t i = begin;
    for (; i + kColumns <= end; i += kColumns) {
      for (int64_t c = 0; c < kColumns / kLanes; ++c) columns[c] += load(x + i + c * kLanes);
    }
    for (int64_t c = 0; c < kColumns; ++c)
      total += static_cast<double>(columns[c / kLanes][c % kLanes]);
    for (; i < end; ++i) total += static_cast<double>(x[i]);
  }
  return total;
}

void log_of(const float* x, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, natural_log(load(x + i)));
  if (i == n) return;
  Lanes rest = all(1.0F);
  for (int64_t l = 0; i + l < n; ++l) rest[l] = x[i + l];
  rest = natural_log(rest);
  for (int64_t l = 0; i + l < n; ++l) y[i + l] = rest[l];
}

}  // namespace
}  // namespace xp::ops
