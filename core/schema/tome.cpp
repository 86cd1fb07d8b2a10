#include "core/schema/tome.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/schema/arch.h"

namespace xp::schema {
namespace {

/// Blocks over which Faster_Audio_Transformers spreads an inflected r beyond those that it has.
constexpr int64_t kExtraBlocks = 168;

int64_t protected_of(const TomeOptions& tome, int64_t special) {
  return std::min<int64_t>(special, tome.protect_dist ? 2 : 1);
}

}  // namespace

int64_t merge_limit(int64_t r, int64_t tokens, int64_t protected_tokens) {
  return std::clamp<int64_t>(r, 0, std::max<int64_t>((tokens - protected_tokens) / 2, 0));
}

std::vector<int64_t> TomeOptions::plan(int64_t depth) const {
  const auto blocks = static_cast<std::size_t>(std::max<int64_t>(depth, 0));
  if (r.is_list) {
    std::vector<int64_t> plan = r.list;
    plan.resize(std::max(plan.size(), blocks), 0);
    return plan;
  }
  std::vector<int64_t> plan(blocks, 0);
  const int64_t line = protect_dist ? depth : depth + kExtraBlocks;
  const auto mean = static_cast<double>(r.value);
  const double first = std::trunc(mean * (1.0 - inflection));
  const double last = 2.0 * mean - first;
  const double step = line > 1 ? (last - first) / static_cast<double>(line - 1) : 0.0;
  for (std::size_t i = 0; i < blocks; ++i)
    plan[i] = static_cast<int64_t>(first + step * static_cast<double>(i));
  return plan;
}

TokensLeft TomeOptions::after(const BlockPlace& place, int64_t tokens) const {
  const int64_t asked = plan(place.depth)[static_cast<std::size_t>(place.block)];
  const int64_t merged = merge_limit(asked, tokens, protected_of(*this, place.special));
  return {tokens - merged, merged < asked};
}

double TomeOptions::flop(const BlockPlace& place, int64_t tokens, const Arch& arch) const {
  if (after(place, tokens).tokens == tokens) return 0;
  const auto n = static_cast<double>(tokens);
  return n * n / 2 * static_cast<double>(arch.dim) / static_cast<double>(arch.heads);
}

std::vector<ReducerFault> TomeOptions::faults(const Arch& arch) const {
  std::vector<ReducerFault> found;
  const auto given = static_cast<int64_t>(r.list.size());
  if (r.is_list && given > arch.depth)
    found.push_back(
        {"r", fmt::format("tome.r lists {} blocks, {} has {}", given, arch.name, arch.depth)});
  if (r.is_list && inflection != 0)
    found.push_back(
        {"inflection", "tome.inflection bends one number over the blocks; tome.r is a list"});
  return found;
}

}  // namespace xp::schema
