#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/batches/source.h"
#include "core/schema/train.h"

namespace xp::train {

/// What is odd about the labels that a training is about to learn, one line each: several labels a
/// clip under "ce", which takes one, and classes of the validation or test split that no training
/// clip has. Torch-free.
std::vector<std::string> label_warnings(const batches::Clips& clips, schema::Loss loss);

}  // namespace xp::train
