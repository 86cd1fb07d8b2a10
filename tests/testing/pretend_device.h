#pragma once

#include <c10/core/Device.h>

#include "tests/testing/pretend_streams.h"

namespace xp::testing {

/// A device beside the CPU that every machine has: LibTorch's PrivateUse1 over memory that is
/// closed to the host (PretendMemory), computed by the CPU's kernels. It shows what a GPU would
/// punish in code that was only run on a CPU: reading device memory on the host (the process ends),
/// tensors of two devices in one operator (throws), pinned memory that is used before its copy is
/// done (NaN). It does not show a GPU's own kernels, their rounding or speed.
///
/// The first call of a process makes it.
c10::Device pretend_device();

/// What was asked of it since it was made.
DeviceWork device_work();

}  // namespace xp::testing
