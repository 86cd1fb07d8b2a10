#include "core/schema/reductions.h"

#include "core/schema/model.h"

namespace xp::schema {

bool Reductions::any() const {
  bool some = false;
  each([&](std::string_view, const auto& options) { some = some || options.any(); });
  return some;
}

bool may_have_tokens(std::string_view arch) {
  const auto family = ModelOptions::parse_kind(arch);
  return !family || is_transformer(*family);
}

std::vector<std::string_view> reducer_sections() {
  return {
#define XP_REDUCER(section, Options) std::string_view(#section),
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  };
}

std::vector<BlockTokens> token_plan(const Reductions& reductions, const Arch& arch, int64_t tokens,
                                    int64_t special) {
  std::vector<BlockTokens> plan;
  for (int64_t block = 0; block < arch.depth; ++block) {
    const BlockPlace place{block, arch.depth, special};
    BlockTokens one{tokens, tokens, false, 0};
    reductions.each([&](std::string_view, const auto& options) {
      one.flop += options.flop(place, one.left, arch);
      const TokensLeft left = options.after(place, one.left);
      one.left = left.tokens;
      one.clamped = one.clamped || left.clamped;
    });
    tokens = one.left;
    plan.push_back(one);
  }
  return plan;
}

}  // namespace xp::schema
