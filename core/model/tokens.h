#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/geometry.h"

namespace xp::model {

/// Patches of a spectrogram: f rows (frequency) by t columns (time).
using schema::Grid;

/// Clips of equally many tokens that lie one after the other.
struct Run {
  int64_t clips = 0;
  int64_t tokens = 0;  ///< of each
  int64_t rows() const { return clips * tokens; }
};

/// What flows through the trunk: the tokens of all clips, one a row, clip after clip. Clips of
/// unequal length are runs of their own: what concerns one token is computed for all rows at once,
/// what concerns the tokens of a clip for each run, and there is no padding. In a clip the special
/// tokens (cls, then dist) come first; patches follow, at first in frequency-major order (place
/// f * T' + t).
struct Tokens {
  at::Tensor x;           ///< [R, D]
  std::vector<Run> runs;  ///< R rows together

  int64_t special = 0;  ///< tokens at the front that are no patches: 0, 1 (cls) or 2 (cls, dist)

  /// [R] float32: patches that each token stands for. Undefined = all ones.
  at::Tensor size;

  /// Of each run, if traced, [clips, N0] int64: the token of its clip in which the j-th token that
  /// entered the blocks now is. Empty unless traced.
  std::vector<at::Tensor> source;

  int64_t clips() const;

  /// The part of `rows` [R, ...] that is run `index`, [clips, N, ...].
  at::Tensor of_run(const at::Tensor& rows, size_t index) const;
};

/// The parts [clips, N, ...] of all runs as rows [R, ...].
at::Tensor as_rows(const std::vector<at::Tensor>& parts);

}  // namespace xp::model
