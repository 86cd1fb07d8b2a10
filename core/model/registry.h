#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/model/init.h"
#include "core/model/model.h"
#include "core/schema/arch.h"
#include "core/schema/model.h"
#include "core/schema/patchout.h"
#include "core/schema/reductions.h"

namespace xp::model {

class MaskedTrunk;

/// What a model is made of.
struct ModelSpec {
  const schema::ModelOptions& options;
  Geometry geometry;
  int64_t classes = 0;
  schema::Reductions reductions = {};                    ///< ignored by a family without tokens
  std::optional<schema::PatchoutOptions> patchout = {};  ///< likewise
  uint64_t seed = 0;
  bool draw = true;  ///< false: zeros, because weights are loaded next

  /// Start values by `options.init`; throws Error for a rule that the architecture does not take.
  Init init() const;
};

/// Builds `spec.options.arch` by the factory of its family (core/schema/models.inc). Parameters are
/// functions of (seed, name); `model.weights` is not read here (core/model/files/import.h). Throws
/// Error naming `model.arch` when it is unknown, and what does not fit otherwise (dim not a
/// multiple of heads, no patch fits).
std::unique_ptr<Model> make_model(const ModelSpec& spec);

/// An SSAST architecture with its pretraining heads. Throws as make_model.
std::unique_ptr<MaskedTrunk> make_masked_model(const schema::ModelOptions& options,
                                               Geometry geometry, uint64_t seed = 0,
                                               bool draw = true);

/// What a section means.
PatchoutSettings patchout_settings(const schema::PatchoutOptions& options);

}  // namespace xp::model
