#pragma once

#include <cstdint>
#include <string>

#include "core/schema/arch.h"
#include "core/schema/train.h"

namespace xp::schema {

/// Clips of a batch that share statistics of batch norm, by their place in the batch of all
/// devices: the last group may have less. 0 where the model has no batch norm.
int64_t norm_group(const TrainOptions& train, Family family);

/// What is wrong with a micro batch that is less than such a group.
std::string split_group_text(int64_t micro_batch, int64_t group);

}  // namespace xp::schema
