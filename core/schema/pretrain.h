#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class PretrainTask { kJoint, kDiscriminative, kGenerative };
XP_ENUM_NAMES(PretrainTask, "joint", "discriminative", "generative")

/// [pretrain]: SSAST's masked patch modelling.
struct PretrainOptions {
  static constexpr std::string_view kSection = "pretrain";
  static constexpr std::string_view kHelp = "masked pretraining (ssast)";

  int64_t masked = 400;
  PretrainTask task = PretrainTask::kJoint;
  double generative_factor = 10.0;
  int64_t cluster_min = 3;
  int64_t cluster_max = 5;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = PretrainOptions;
    v.field("masked", &O::masked, {.min = 1, .max = 100000, .unit = "tokens"},
            "patches masked in a clip");
    v.field("task", &O::task, {}, "tell patches apart, reconstruct them, or both");
    v.field("generative_factor", &O::generative_factor, {.min = 0, .max = 1e6},
            "weight of the reconstruction loss in `joint`");
    v.field("cluster_min", &O::cluster_min, {.min = 0, .max = 64},
            "smallest side of a masked square, 0 = single");
    v.field("cluster_max", &O::cluster_max, {.min = 0, .max = 64},
            "largest side of a masked square, 0 = single");
  }
};

}  // namespace xp::schema
