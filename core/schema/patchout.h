#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class DropPer { kBatch, kClip };
XP_ENUM_NAMES(DropPer, "batch", "clip")

/// [patchout]: patches left out in training. Transformers only.
struct PatchoutOptions {
  static constexpr std::string_view kSection = "patchout";
  static constexpr std::string_view kHelp = "patches left out in training (transformers only)";

  int64_t t = 0;
  int64_t f = 0;
  int64_t u = 0;
  double t_p = 0.0;
  double f_p = 0.0;
  double u_p = 0.0;
  DropPer per = DropPer::kBatch;

  bool any() const { return t > 0 || f > 0 || u > 0 || t_p > 0 || f_p > 0 || u_p > 0; }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = PatchoutOptions;
    v.field("t", &O::t, {.min = 0, .max = 100000}, "columns (time steps) of patches left out");
    v.field("f", &O::f, {.min = 0, .max = 512}, "rows (frequency steps) of patches left out");
    v.field("u", &O::u, {.min = 0, .max = 1e6, .unit = "tokens"},
            "single patches left out after t and f");
    v.field("t_p", &O::t_p, {.min = 0, .max = 1, .open_max = true},
            "fraction of the columns, in place of t");
    v.field("f_p", &O::f_p, {.min = 0, .max = 1, .open_max = true},
            "fraction of the rows, in place of f");
    v.field("u_p", &O::u_p, {.min = 0, .max = 1, .open_max = true},
            "fraction of the patches left by t and f, in place of u");
    v.field("per", &O::per, {}, "one choice for a batch, or one for each clip");
  }
};

}  // namespace xp::schema
