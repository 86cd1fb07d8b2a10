#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/geometry.h"

namespace xp::model {

/// Patches of a spectrogram: f rows (frequency) by t columns (time).
using schema::Grid;

/// What flows through the trunk: B clips of N tokens. The special tokens (cls, then dist) come
/// first; patches follow, at first in frequency-major order (place f * T' + t).
struct Tokens {
  at::Tensor x;  ///< [B, N, D]

  int64_t special = 0;  ///< tokens at the front that are no patches: 0, 1 (cls) or 2 (cls, dist)
  Grid grid;            ///< of the patches before any was dropped

  /// [B or 1, N0 - special] int64: place in the grid of each patch that entered the blocks;
  /// undefined = all patches in order. (N0: tokens that entered the blocks.)
  at::Tensor places;

  /// [B, N] float32: patches that each token stands for, 0 for padding. Undefined = all ones.
  at::Tensor size;

  /// [B] tokens of each clip that are not padding; they come before the padding. Empty = all N.
  std::vector<int64_t> valid;

  /// [B, N0] int64: the token in which the j-th token that entered the blocks now is. Undefined
  /// unless traced.
  at::Tensor source;

  int64_t batch() const { return x.size(0); }
  int64_t count() const { return x.size(1); }
};

}  // namespace xp::model
