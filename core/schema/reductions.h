#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/schema/arch.h"
#include "core/schema/tome.h"

namespace xp::schema {

/// How a transformer's tokens become fewer: a section for each reducer of reducers.inc.
///
/// Each Options has any() (some block reduces), after(BlockPlace, tokens) (what a block leaves: a
/// TokensLeft), flop(BlockPlace, tokens, Arch) (operations to find what goes) and faults(Arch) (for
/// the recipe check).
struct Reductions {
#define XP_REDUCER(section, Options) std::optional<Options> section;
#include "core/schema/reducers.inc"
#undef XP_REDUCER

  /// Calls `visit` with the name and the options of each section that is there, in order.
  template <class Visit>
  void each(const Visit& visit) const {
#define XP_REDUCER(section, Options) \
  if (section) visit(std::string_view(#section), *(section));
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  }

  /// Fills each section by `make(std::type_identity<Options>())`, an optional<Options>.
  template <class Make>
  static Reductions made_by(const Make& make) {
    Reductions out;
#define XP_REDUCER(section, Options) out.section = make(std::type_identity<Options>());
#include "core/schema/reducers.inc"
#undef XP_REDUCER
    return out;
  }

  /// The parts of option structs that are made of this one (core/recipe/options.h).
  template <class Stage, class Visitor>
  static void describe_parts(Visitor& v) {
#define XP_REDUCER(section, Options) \
  v.part(#section, static_cast<std::optional<Options> Stage::*>(&Stage::section));
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  }

  /// The sections alone, of a stage's options that are made of them.
  const Reductions& reductions() const { return *this; }
  /// Whether some block reduces.
  bool any() const;
};

/// False for an architecture without tokens. One that is not known before its checkpoint is opened
/// may have some.
bool may_have_tokens(std::string_view arch);

/// Names of the sections, in order.
std::vector<std::string_view> reducer_sections();

/// One block of a model that reduces.
struct BlockTokens {
  int64_t attended = 0;  ///< tokens in its attention
  int64_t left = 0;      ///< tokens in its MLP and in the next block
  bool clamped = false;  ///< some reducer took fewer than it was asked to
  double flop = 0;       ///< of finding what goes, for one clip
};

/// What the reducers make of `tokens`, block by block; `special` of them are no patches. The one
/// plan: the recipe check, the cost, what `--check` prints, and the model do as it says. AST's 1214
/// tokens at tome.r = 96 end at 80, the last block clamped to 78.
std::vector<BlockTokens> token_plan(const Reductions& reductions, const Arch& arch, int64_t tokens,
                                    int64_t special);

}  // namespace xp::schema
