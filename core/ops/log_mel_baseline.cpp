#define XP_LANES 4
#include "core/ops/log_mel_lanes.h"

namespace xp::ops {

const Kernel kLogMelBaseline = {kLanes, scratch_floats, run, sum_of, log_of};

}  // namespace xp::ops
