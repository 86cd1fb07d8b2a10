#pragma once

#include <cstdint>

#include "core/model/model.h"
#include "core/train/loop.h"

namespace xp::train {

/// Estimates the running statistics of batch norm anew, as the plain mean over at most `steps`
/// training batches (weights stay): averaged weights have statistics of their own. Nothing without
/// batch norm.
void reestimate_batch_norm(const model::Model& model, Task& task, batches::Batches& batches,
                           int64_t steps = 200);

}  // namespace xp::train
