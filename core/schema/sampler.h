#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class SamplerKind { kShuffle, kSequential, kAstBalanced, kImportance, kClassBalanced };
XP_ENUM_NAMES(SamplerKind, "shuffle", "sequential", "ast_balanced", "importance", "class_balanced")

enum class LabelWeight { kSum, kMax };
XP_ENUM_NAMES(LabelWeight, "sum", "max")

/// [sampler]: which clips make an epoch.
struct SamplerOptions {
  static constexpr std::string_view kSection = "sampler";
  static constexpr std::string_view kHelp = "which clips make an epoch, and in what order";
  using Kind = SamplerKind;

  SamplerKind kind = SamplerKind::kShuffle;
  int64_t draws = 0;
  double count_offset = 0.01;
  LabelWeight weight = LabelWeight::kSum;

  static SamplerOptions of_kind(SamplerKind kind) {
    SamplerOptions o;
    o.kind = kind;
    if (kind == SamplerKind::kImportance) o.count_offset = 100.0;
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = SamplerOptions;
    v.kind("kind", &O::kind, {},
           "shuffle and sequential take each clip once; ast_balanced draws with replacement by "
           "AST's weights, "
           "importance without replacement by PaSST's, class_balanced a class first and then a "
           "clip of it");
    v.field("draws", &O::draws, {.min = 0, .max = 1e9},
            "clips in an epoch, 0 = as many as the split has");
    v.field("count_offset", &O::count_offset,
            {.min = 0, .max = 1e9, .only = "ast_balanced importance"},
            "added to a class's clip count: its weight is 1000 / (count + this)");
    v.field("weight", &O::weight, {.only = "ast_balanced importance"},
            "a clip's weight is the sum or the largest of its labels' weights");
  }
};

}  // namespace xp::schema
