#define XP_LANES 16
#include "core/ops/log_mel_lanes.h"

namespace xp::ops {

const Kernel kLogMelAvx512 = {kLanes, scratch_floats, run, sum_of, log_of};

}  // namespace xp::ops
