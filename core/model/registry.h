#pragma once

#include <cstdint>
#include <memory>

#include "core/model/init.h"
#include "core/model/model.h"
#include "core/schema/arch.h"

namespace xp::schema {
struct ModelOptions;
struct TomeOptions;
struct PatchoutOptions;
}  // namespace xp::schema

namespace xp::model {

class MaskedTrunk;

/// What a factory gets. `tome` and `patchout` are null where the recipe has no such section or the
/// family cannot use it.
struct ModelSpec {
  const schema::ModelOptions& options;
  const schema::TomeOptions* tome;
  const schema::PatchoutOptions* patchout;
  schema::Arch arch;
  Geometry geometry;
  int64_t classes;
  uint64_t seed;
  bool draw;  ///< false: zeros, because weights are loaded next

  /// Start values by `options.init`; throws Error for a rule that the architecture does not take.
  Init init() const;
};

/// Builds `options.arch` by the factory of its family (core/schema/models.inc). Parameters are
/// functions of (seed, name); `model.weights` is not read here (core/model/files/import.h). Throws
/// Error naming `model.arch` when it is unknown, and what does not fit otherwise (dim not a
/// multiple of heads, no patch fits).
std::unique_ptr<Model> make_model(const schema::ModelOptions& options,
                                  const schema::TomeOptions* tome,
                                  const schema::PatchoutOptions* patchout, Geometry geometry,
                                  int64_t classes, uint64_t seed = 0, bool draw = true);

/// An SSAST architecture with its pretraining heads. Throws as make_model.
std::unique_ptr<MaskedTrunk> make_masked_model(const schema::ModelOptions& options,
                                               Geometry geometry, uint64_t seed = 0,
                                               bool draw = true);

/// The settings that a section means for a model of `depth` blocks.
TomeSettings tome_settings(const schema::TomeOptions& options, int64_t depth);
PatchoutSettings patchout_settings(const schema::PatchoutOptions& options);

}  // namespace xp::model
