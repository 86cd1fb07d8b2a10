#define XP_LANES 8
#include "core/ops/log_mel_lanes.h"

namespace xp::ops {

const Kernel kLogMelAvx2 = {kLanes, scratch_floats, run, sum_of, log_of};

}  // namespace xp::ops
