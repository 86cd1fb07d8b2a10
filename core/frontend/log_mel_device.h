#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/ops/log_mel.h"

namespace at {
class Tensor;
}

namespace xp::frontend {

/// ops::LogMel as ATen operations over a whole batch: for GPUs, on any device. Always float32, also
/// under autocast and where TF32 is allowed. Tables are kept for the device that was used last; any
/// number of threads.
class LogMelDevice {
 public:
  explicit LogMelDevice(const ops::LogMelOptions& options);
  ~LogMelDevice();

  /// `waves` [B, N] float32, `samples` [B] valid samples of each row. Returns [B, bins, frames_out]
  /// as ops::LogMel::run writes it: (v - mean) * scale, columns beyond a clip's frames are `pad`
  /// before that.
  at::Tensor run(const at::Tensor& waves, std::span<const int64_t> samples, int64_t frames_out,
                 ops::Affine affine = {}, float pad = 0) const;

  /// The same with other filter edges.
  at::Tensor run_band(const at::Tensor& waves, std::span<const int64_t> samples, int64_t frames_out,
                      ops::Affine affine, float pad, double low_hz, double high_hz) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::frontend
