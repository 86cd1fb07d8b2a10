#pragma once

#include <cstdint>
#include <vector>

#include "core/recipe/options.h"
#include "core/schema/block_place.h"

namespace xp::schema {

struct Arch;

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

  /// Whether some block merges.
  bool any() const { return r.any(); }
  /// r of each of `depth` blocks, before clamping. One number with inflection c in [-1, 1] runs
  /// linearly from trunc(r (1 - c)) to 2 r minus that, each value truncated (Bolya et al. 2023,
  /// appendix D: c = -1 merges early). Without protect_dist the line runs over 168 blocks more than
  /// there are, as in Faster_Audio_Transformers. A list is filled with zeros to `depth`; a longer
  /// one stays as it is.
  std::vector<int64_t> plan(int64_t depth) const;
  /// The class token is protected, with protect_dist the distillation token too.
  TokensLeft after(const BlockPlace& place, int64_t tokens) const;
  /// The product of the keys of one half of the tokens with those of the other.
  double flop(const BlockPlace& place, int64_t tokens, const Arch& arch) const;
  /// A list longer than the model, and an inflection of a list.
  std::vector<ReducerFault> faults(const Arch& arch) const;

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

/// r as far as the tokens allow: at most half of the unprotected ones, floor((tokens -
/// protected_tokens) / 2). The one clamp of all merging.
int64_t merge_limit(int64_t r, int64_t tokens, int64_t protected_tokens);

}  // namespace xp::schema
