#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace xp::recipe {

/// What the parser must not be given, and where it begins.
struct Refusal {
  int line = 0;
  int column = 0;
  std::string message;
};

/// Looks before the parser does. Refuses brackets or dotted keys deeper than kMaxDepth (the
/// parser's tables are destroyed recursively, so a key of half a million dots would run out of
/// stack) and numbers or dates longer than kMaxNumber (the parser looks ahead through at most 127
/// characters, and a date before a blank makes it step back further than that, which ends the
/// process). nullopt when all is well.
std::optional<Refusal> find_refusal(std::string_view text);

}  // namespace xp::recipe
