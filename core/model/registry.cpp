#include "core/model/registry.h"

#include <array>
#include <string>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/masked.h"
#include "core/model/trunk.h"
#include "core/schema/model.h"
#include "core/schema/patchout.h"
#include "core/schema/tome.h"

namespace xp::model {

// The factories of core/schema/models.inc; one that is missing is a link error.
#define XP_MODEL(name, factory, body, help) std::unique_ptr<Model> factory(const ModelSpec& spec);
#include "core/schema/models.inc"
#undef XP_MODEL

namespace {

/// What all transformer families share.
TrunkOptions trunk_options(const ModelSpec& spec) {
  const schema::ModelOptions& options = spec.options;
  const schema::Grid stride = schema::strides(options);
  TrunkOptions trunk;
  const schema::Arch arch = options.resolved();
  trunk.dim = arch.dim;
  trunk.depth = arch.depth;
  trunk.heads = arch.heads;
  trunk.patch_f = arch.patch_f;
  trunk.patch_t = arch.patch_t;
  trunk.stride_f = stride.f;
  trunk.stride_t = stride.t;
  trunk.grid = schema::patch_grid(options, spec.geometry);
  trunk.hidden = options.mlp_dim;
  trunk.special = options.token_count();
  trunk.norm_first = options.norm_first;
  trunk.activation = options.activation;
  trunk.norm_eps = options.norm_eps;
  trunk.final_norm = options.final_norm;
  trunk.final_norm_eps = options.final_norm_eps;
  trunk.head_norm_eps = options.head_norm_eps;
  trunk.aggregator = options.aggregator;
  trunk.mean_skips = options.mean_skips;
  trunk.head = options.head;
  trunk.classes = spec.classes;
  trunk.dropout = options.dropout;
  trunk.drop_path = options.drop_path;
  trunk.freeze_blocks = options.freeze_blocks;
  trunk.reducers = make_reducers(spec.reductions, trunk.depth);
  if (spec.patchout) trunk.patchout = patchout_settings(*spec.patchout);
  if (trunk.depth < 1) {
    throw Error(fmt::format("model.cut_depth = {} leaves less than two blocks", options.cut_depth));
  }
  if (trunk.heads <= 0 || trunk.dim % trunk.heads != 0) {
    throw Error(fmt::format("model.dim = {} is not a multiple of model.heads = {}", trunk.dim,
                            trunk.heads));
  }
  if (trunk.grid.count() == 0) {
    throw Error(fmt::format("{}: an input of {} bins x {} frames holds no patch of {} x {}",
                            options.arch, spec.geometry.F, spec.geometry.T, trunk.patch_f,
                            trunk.patch_t));
  }
  return trunk;
}

TrunkOptions separate_options(const ModelSpec& spec) {
  TrunkOptions trunk = trunk_options(spec);
  Geometry covered = spec.geometry;
  if (spec.options.pos_frames > 0) covered.T = spec.options.pos_frames;
  trunk.position = PositionKind::kSeparate;
  trunk.grid = schema::passt_position_grid(spec.options, covered);
  trunk.grid.f = schema::patch_grid(spec.options, covered).f;
  if (spec.options.cut_depth != 0) trunk.source_blocks = spec.options.source_blocks();
  return trunk;
}

}  // namespace

Init ModelSpec::init() const {
  if (const auto fault = options.init_fault()) throw Error(*fault);
  return Init(seed, draw, options.init_rule());
}

std::unique_ptr<Model> make_ast(const ModelSpec& spec) {
  return std::make_unique<Trunk>(trunk_options(spec), spec.init());
}

std::unique_ptr<Model> make_passt(const ModelSpec& spec) {
  return std::make_unique<Trunk>(separate_options(spec), spec.init());
}

std::unique_ptr<Model> make_ssast(const ModelSpec& spec) { return make_ast(spec); }

std::unique_ptr<Model> make_model(const ModelSpec& spec) {
  if (const auto fault = spec.options.fault()) throw Error(*fault);
  switch (spec.options.resolved().family) {
#define XP_MODEL(name, factory, body, help) \
  case schema::Family::k_##name:            \
    return factory(spec);
#include "core/schema/models.inc"
#undef XP_MODEL
  }
  XP_CHECK(false, "a family without a factory");
  return nullptr;
}

std::unique_ptr<MaskedTrunk> make_masked_model(const schema::ModelOptions& options,
                                               Geometry geometry, uint64_t seed, bool draw) {
  const ModelSpec spec{.options = options, .geometry = geometry, .seed = seed, .draw = draw};
  TrunkOptions trunk = trunk_options(spec);
  trunk.aggregator = Aggregator::kNone;
  trunk.head = Head::kNone;
  return std::make_unique<MaskedTrunk>(trunk, spec.init());
}

PatchoutSettings patchout_settings(const schema::PatchoutOptions& options) {
  PatchoutSettings settings;
  settings.columns = options.t;
  settings.rows = options.f;
  settings.tokens = options.u;
  settings.columns_p = options.t_p;
  settings.rows_p = options.f_p;
  settings.tokens_p = options.u_p;
  settings.per_clip = options.per == schema::DropPer::kClip;
  return settings;
}

}  // namespace xp::model
