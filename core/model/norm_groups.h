#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::model {

/// Which clips share statistics of batch norm, where these are not simply all clips of a pass: in
/// groups of a batch that may be spread over several ranks and made in several passes. A group is
/// always whole in a pass.
struct NormGroups {
  std::vector<int64_t> of_clip;  ///< [B] the group of each clip of the pass
  int64_t count = 1;             ///< groups of the batch; a clip of number `count` only stands in:
                                 ///< a rank without clips has one, so that all make the same sums
  bool first = true;             ///< the first pass of the batch
  /// Sum over the ranks that gradients flow through; empty = one rank.
  std::function<at::Tensor(const at::Tensor&)> sum;
};

}  // namespace xp::model
