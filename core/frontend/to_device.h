#pragma once

#include <ATen/core/Tensor.h>

namespace xp::frontend {

/// What the host made (draws, indices, masks), on `device`. The host does not wait: a GPU reads it
/// from pinned memory when it comes to it. On the CPU the tensor itself.
at::Tensor to_device(const at::Tensor& values, at::Device device);

}  // namespace xp::frontend
