#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace xp::tracker {

/// A stored parameter. Lists and tables are JSON text in Json.
struct Json {
  std::string text;
  friend bool operator==(const Json&, const Json&) = default;
};
using Value = std::variant<bool, int64_t, double, std::string, Json>;

/// As a person writes it: true, 16, 0.00025 (shortest that reads back), the bare text, JSON.
std::string to_text(const Value& value);

/// As JSON: the text quoted and escaped; NaN and infinities as strings.
std::string to_json(const Value& value);

}  // namespace xp::tracker
