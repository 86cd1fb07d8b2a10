#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "core/checkpoint/archive.h"

namespace xp::model {

/// A copy on the CPU with the entry's type and shape, without gradient.
at::Tensor to_tensor(const checkpoint::Entry& entry);

/// The tensor's values, copied from its device if need be; a contiguous CPU tensor is not copied
/// and stays alive as long as the entry. Throws Error for a type that files cannot hold.
checkpoint::Entry to_entry(std::string name, const at::Tensor& tensor);

}  // namespace xp::model
