#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/input.h"

namespace xp::model {

/// The clips of a batch sorted into groups of equal width, each of which is computed as a batch
/// without padding: so no clip can see how long another is, and nothing is computed for padding.
/// Clips that are all as wide are one group in the order of the batch.
class Widths {
 public:
  struct Group {
    int64_t width = 0;
    std::vector<int64_t> clips;  ///< ascending
    int64_t size() const { return static_cast<int64_t>(clips.size()); }
  };

  /// `widths`: [B], in whatever unit counts for the model (frames, columns of patches).
  explicit Widths(const std::vector<int64_t>& widths);

  const std::vector<Group>& groups() const { return groups_; }  ///< by rising width
  int64_t widest() const { return groups_.back().width; }

  /// The first `frames` frames of a group's spectrograms, [b, F, frames].
  at::Tensor mel(const Input& input, const Group& group, int64_t frames) const;
  /// The draws of a group's clips.
  DrawKey draws(const Input& input, const Group& group) const;
  /// The draws of all clips, group after group.
  DrawKey draws(const Input& input) const;
  /// Rows of a tensor [B, ...] that belong to a group.
  at::Tensor take(const at::Tensor& rows, const Group& group) const;
  /// Rows [b, ...] of each group in the order of the batch: [B, ...].
  at::Tensor restore(const std::vector<at::Tensor>& rows) const;

 private:
  std::vector<Group> groups_;
};

}  // namespace xp::model
