#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "core/checkpoint/archive.h"

namespace xp::load {

/// Adds a tensor of any device to an archive; contiguous tensors on the CPU are shared, not copied,
/// so their values must stay until the archive is written.
void add_tensor(checkpoint::Archive& archive, std::string name, const at::Tensor& tensor);

/// A copy of an entry's values on the CPU.
at::Tensor to_tensor(const checkpoint::Entry& entry);

}  // namespace xp::load
