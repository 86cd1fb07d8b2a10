#pragma once

#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/recipe/value.h"

/// TOML 1.0 to values with places. The only part of exp that knows the TOML library.
namespace xp::recipe {

/// What a recipe may be, so that no input can exhaust memory or the stack.
inline constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
inline constexpr int kMaxDepth = 32;
inline constexpr std::size_t kMaxNumber = 100;  ///< characters of a number

/// A syntax error: the first of the text.
struct SyntaxError {
  Spot spot;
  std::string message;
};

/// Parses a whole document. `source` is put into every spot. Throws SyntaxError for what is not
/// TOML, is larger than kMaxBytes, is nested deeper than kMaxDepth, has a number longer than
/// kMaxNumber, or holds NUL or invalid UTF-8. Dates are refused: no key takes one.
Table parse_toml(std::string_view text, int source);

/// Parses one value, as on the right of "key = ". Columns count from the start of `text`.
Value parse_toml_value(std::string_view text, int source);

}  // namespace xp::recipe
