#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/model/model.h"

namespace xp::model {

/// The tensors of the classifier's last layer: [n K, ...], with n entries for each of the K classes
/// (1, but in an attention head), class by class within each n.
std::vector<NamedTensor> class_tensors(const Model& model);

/// Puts the classes in another order: logit k becomes what logit from[k] was. `from`: a permutation
/// of 0 .. K-1.
void reorder_classes(Model& model, std::span<const int64_t> from);

}  // namespace xp::model
