#pragma once

#include <cstdint>
#include <vector>

#include "core/model/model.h"

namespace xp::model {

/// `context.positions`, or 0 .. batch-1 where it is empty: what random draws of clips depend on.
std::vector<int64_t> positions_of(const ForwardContext& context, int64_t batch);

}  // namespace xp::model
