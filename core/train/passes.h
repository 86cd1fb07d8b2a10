#pragma once

#include <cstdint>
#include <vector>

namespace xp::train {

/// Clips of one rank's share of a batch that go through the model together.
struct ClipRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// How a batch is made on one rank.
struct PassOptions {
  int64_t clips = 0;  ///< of the batch, over all ranks
  int rank = 0;
  int world = 1;
  int64_t micro_batch = 0;  ///< clips of a rank at a time; 0 = its whole share
  int64_t norm_group = 0;   ///< clips that share statistics of batch norm; 0 = no batch norm
};

/// The passes of a rank, at least one. With batch norm every rank has as many, some without clips,
/// and the clips of a group, on whatever ranks they are, are in passes of the same number. Throws
/// Error (kUsage) naming train.micro_batch where it would split a group.
std::vector<ClipRange> passes(const PassOptions& options);

}  // namespace xp::train
