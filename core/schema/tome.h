#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

/// `tome.r`: one number for every block, or an array with one number a block (zero-padded).
using TomeR = recipe::IntOrList;

/// [tome]: token merging. Transformers only.
struct TomeOptions {
  static constexpr std::string_view kSection = "tome";
  static constexpr std::string_view kHelp =
      "token merging between attention and MLP (transformers only)";

  TomeR r;
  double inflection = 0.0;
  bool prop_attn = true;
  bool protect_dist = true;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = TomeOptions;
    v.field("r", &O::r, {.min = 0, .max = 100000, .unit = "tokens"},
            "tokens merged in every block, or an array with a number a block; clamped to half of "
            "what is there");
    v.field("inflection", &O::inflection, {.min = -1, .max = 1},
            "slope of r over the blocks: -1 falls from 2r to 0, 1 rises from 0 to 2r; for one "
            "number only");
    v.field("prop_attn", &O::prop_attn, {}, "attention is weighted by the log of a token's size");
    v.field("protect_dist", &O::protect_dist, {}, "the distillation token is never merged");
  }
};

}  // namespace xp::schema
