#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace xp::recipe {

/// Where brackets or dotted keys first go deeper than kMaxDepth.
struct TooDeep {
  int line = 0;
  int column = 0;
};

/// Looks before the parser does: the parser's tables are destroyed recursively, so a key of half a
/// million dots would run out of stack. nullopt when all is well.
std::optional<TooDeep> find_too_deep(std::string_view text);

}  // namespace xp::recipe
