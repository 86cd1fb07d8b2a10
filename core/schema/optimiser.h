#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class OptimiserKind { kAdamw, kAdam, kSgd };
XP_ENUM_NAMES(OptimiserKind, "adamw", "adam", "sgd")

/// [optimiser].
struct OptimiserOptions {
  static constexpr std::string_view kSection = "optimiser";
  static constexpr std::string_view kHelp = "the step from gradients to weights";
  using Kind = OptimiserKind;

  OptimiserKind kind = OptimiserKind::kAdamw;
  double lr = 0.0;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0.0;
  double momentum = 0.0;
  double head_lr_factor = 1.0;
  double layer_decay = 1.0;
  bool decay_norm_bias = true;

  static OptimiserOptions of_kind(OptimiserKind kind) {
    OptimiserOptions o;
    o.kind = kind;
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = OptimiserOptions;
    v.kind("kind", &O::kind, {},
           "adam adds weight decay to the gradient (L2), adamw decays apart from it");
    v.field("lr", &O::lr, {.min = 0, .max = 100, .open_min = true, .required = true},
            "learning rate");
    v.field("betas", &O::betas,
            {.min = 0, .max = 1, .open_max = true, .only = "adam adamw", .sweepable = false},
            "decay of the first and second moment");
    v.field("eps", &O::eps, {.min = 0, .max = 1, .open_min = true, .only = "adam adamw"},
            "added to the root of the second moment");
    v.field("weight_decay", &O::weight_decay, {.min = 0, .max = 1}, "weight decay");
    v.field("momentum", &O::momentum, {.min = 0, .max = 1, .open_max = true, .only = "sgd"},
            "momentum");
    v.field("head_lr_factor", &O::head_lr_factor, {.min = 0, .max = 1e4},
            "the classifier's lr is lr times this");
    v.field("layer_decay", &O::layer_decay, {.min = 0, .max = 1, .open_min = true},
            "each block's lr is that of the block above it times this");
    v.field("decay_norm_bias", &O::decay_norm_bias, {},
            "norms, biases, tokens and positions are decayed as well");
  }
};

}  // namespace xp::schema
