#pragma once

#include <cstdint>

#include "core/schema/stage_options.h"

namespace xp::schema {

/// Memory that a training takes at the least, counted from its options alone: batches, buffers and
/// the program come on top.
struct TrainingMemory {
  int64_t parameters = 0;
  uint64_t state_bytes = 0;  ///< of each device: weights, gradients, the optimiser's moments, means
  uint64_t clip_bytes = 0;   ///< what the backward pass needs of a clip; 0 where it is not counted
  int64_t clips = 0;         ///< computed at a time, on all devices together

  uint64_t bytes(int64_t devices) const {
    return static_cast<uint64_t>(devices) * state_bytes + static_cast<uint64_t>(clips) * clip_bytes;
  }
};

/// What autograd keeps of a transformer's block (B clips of n tokens of D values): the inputs of
/// both norms and what they give (4 n D), q, k and v (3 n D), what attention gives (n D), and the
/// hidden values before and after GELU (8 n D); 4 bytes a value, 2 where it computes in 16 bits.
/// With activation_checkpointing one n D of each block, and all of one block. Attention's
/// probabilities are not kept. CNNs are counted by their state alone. `micro_batch` (a device's) 0
/// = train.micro_batch; `classes` 0 = not known.
TrainingMemory training_memory(const TrainStageOptions& options, int64_t micro_batch,
                               int64_t devices, int64_t classes);

}  // namespace xp::schema
