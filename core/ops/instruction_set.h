#pragma once

#include <string_view>

#include "core/ops/log_mel_kernel.h"

namespace xp::ops {

/// The kernel of the best instruction set that this machine has, at most the one that EXP_CPU
/// names. Throws Error when EXP_CPU is none of baseline, avx2, avx512.
const Kernel& best_kernel();

/// The kernel of that name, or null when it was not built or the machine lacks its instructions.
const Kernel* kernel_named(std::string_view name);

}  // namespace xp::ops
