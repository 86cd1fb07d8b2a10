#pragma once

#include <cstdint>

#include "core/schema/geometry.h"
#include "core/schema/reductions.h"

namespace xp::schema {

/// What one clip costs a transformer, counted from its options alone: `exp models` and the recipe
/// check show it.
struct Cost {
  int64_t parameters = 0;
  int64_t tokens = 0;      ///< that enter the first block, cls and dist among them
  int64_t tokens_out = 0;  ///< that leave the last one
  double gflop = 0;        ///< of a forward pass in evaluation; a multiply-add counts two
};

/// Matrix products alone: patch embedding, attention, MLP, what the reducers multiply, head; norms,
/// softmax and GELU (under 1 %) are left out. A training step costs three times as much. Other
/// families give zeros.
Cost transformer_cost(const ModelOptions& model, const Reductions& reductions,
                      const Geometry& input, int64_t classes);

/// The family pool: 2 F inputs, one linear layer. Zeros for another one.
Cost pool_cost(const ModelOptions& model, const Geometry& input, int64_t classes);

}  // namespace xp::schema
