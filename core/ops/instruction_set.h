#pragma once

#include <string_view>

#include "core/ops/log_mel_kernel.h"

namespace xp::ops {

/// The kernel of that name ("baseline", "avx2", "avx512"), or null when it was not built or this
/// machine lacks its instructions.
const Kernel* kernel_named(std::string_view name);

/// The best of them that this machine has, at most `limit` ("" = no limit). Throws Error when
/// `limit` is no name.
std::string_view best_set(std::string_view limit);

/// kernel_named(instruction_set()).
const Kernel& best_kernel();

}  // namespace xp::ops
