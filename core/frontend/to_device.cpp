#include "core/frontend/to_device.h"

namespace xp::frontend {

at::Tensor to_device(const at::Tensor& values, at::Device device) {
  if (device.is_cpu() || !values.is_cpu()) return values.to(device);
  // ATen's pinned memory is not given to others before the copies that read it are done.
  return values.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace xp::frontend
