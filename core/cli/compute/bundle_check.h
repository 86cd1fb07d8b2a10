#pragma once

#include <string>

#include "core/load/open_model.h"

namespace xp::cli {

/// A short Python program that reads a bundle's model.safetensors and golden.safetensors (`mel` [1,
/// F, T], `logits` [1, K]), computes the one from the other with torch alone and ends with 0 when
/// they agree. "" for a model that is neither a transformer nor a CNN of EfficientAT.
std::string check_program(const load::OpenModel& open);

}  // namespace xp::cli
