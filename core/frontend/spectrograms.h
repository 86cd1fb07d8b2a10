#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::frontend {

/// Sounds of B clips at the front end's rate.
struct Waves {
  at::Tensor samples;            ///< [B, N] float32 in [-1, 1]; behind a clip's end nobody reads
  std::vector<int64_t> lengths;  ///< [B] samples of each clip, in [0, N]

  /// Clips that all fill their rows.
  static Waves whole(const at::Tensor& samples);
};

/// Log-mel spectrograms of B clips. The length of each goes with it everywhere: what stands behind
/// a clip's last frame is there because another clip of the batch is longer, and nobody reads it.
/// What `frontend.frames` or `frontend.clip_s` pads is the clip's own, as in the originals.
struct Spectrograms {
  at::Tensor mel;               ///< [B, F, T]
  std::vector<int64_t> frames;  ///< [B] frames of each clip, in [1, T]

  /// Clips that all fill their rows.
  static Spectrograms whole(const at::Tensor& mel);

  int64_t clips() const { return static_cast<int64_t>(frames.size()); }
  /// Clips first .. first + count - 1.
  Spectrograms narrow(int64_t first, int64_t count) const;
};

}  // namespace xp::frontend
