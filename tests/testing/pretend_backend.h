#pragma once

#include <c10/core/DeviceType.h>

namespace xp::testing {

inline constexpr c10::DeviceType kPretendType = c10::DeviceType::PrivateUse1;

/// Tells LibTorch how the pretend device gives memory, queues and waits. Once a process.
void install_pretend_backend();

}  // namespace xp::testing
