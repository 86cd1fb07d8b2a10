#include "core/recipe/toml.h"

#include <fmt/format.h>
#define TOML_EXCEPTIONS 1
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

#include "core/recipe/toml_guard.h"

namespace xp::recipe {
namespace {

Spot spot_of(const toml::source_region& region, int source) {
  return {source, static_cast<int>(region.begin.line), static_cast<int>(region.begin.column)};
}

Value convert(const toml::node& node, int source);

Table convert_table(const toml::table& table, int source) {
  Table out;
  for (auto&& [key, node] : table) {
    Value value = convert(node, source);
    value.key_spot = spot_of(key.source(), source);
    out.emplace(std::string(key.str()), std::move(value));
  }
  return out;
}

Array convert_array(const toml::array& array, int source) {
  Array out;
  out.reserve(array.size());
  for (const toml::node& node : array) out.push_back(convert(node, source));
  return out;
}

Value convert(const toml::node& node, int source) {
  const Spot spot = spot_of(node.source(), source);
  Value value;
  switch (node.type()) {
    case toml::node_type::table:
      value.data = convert_table(*node.as_table(), source);
      break;
    case toml::node_type::array:
      value.data = convert_array(*node.as_array(), source);
      break;
    case toml::node_type::string:
      value.data = node.as_string()->get();
      break;
    case toml::node_type::integer:
      value.data = node.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      value.data = node.as_floating_point()->get();
      break;
    case toml::node_type::boolean:
      value.data = node.as_boolean()->get();
      break;
    default:
      throw SyntaxError{spot, "a date or time: no key takes one; put it in quotes for text"};
  }
  value.spot = spot;
  return value;
}

/// The library's messages speak of its own functions ("Error while parsing key-value pair: ...");
/// what follows the colon is the fact.
std::string plain(std::string_view description) {
  constexpr std::string_view kFrame = "Error while parsing ";
  if (description.substr(0, kFrame.size()) == kFrame) {
    const std::size_t colon = description.find(": ");
    if (colon != std::string_view::npos) {
      const std::string_view what = description.substr(kFrame.size(), colon - kFrame.size());
      return fmt::format("not TOML ({}): {}", what, description.substr(colon + 2));
    }
  }
  return fmt::format("not TOML: {}", description);
}

/// The place of byte `at` of the text.
Spot spot_at(std::string_view text, std::size_t at, int source) {
  Spot spot{source, 1, 1};
  for (std::size_t i = 0; i < at; ++i) {
    ++spot.column;
    if (text[i] == '\n') {
      ++spot.line;
      spot.column = 1;
    }
  }
  return spot;
}

void refuse_what_no_recipe_is(std::string_view text, int source) {
  if (text.size() > kMaxBytes) {
    throw SyntaxError{{source, 0, 0},
                      fmt::format("{} bytes: a recipe has at most {}; is this a recipe?",
                                  text.size(), kMaxBytes)};
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw SyntaxError{spot_at(text, nul, source), "a NUL byte: this is not a text file"};
  }
  if (const auto deep = find_too_deep(text)) {
    throw SyntaxError{{source, deep->line, deep->column},
                      fmt::format("nested deeper than {} levels", kMaxDepth)};
  }
}

}  // namespace

Table parse_toml(std::string_view text, int source) {
  refuse_what_no_recipe_is(text, source);
  try {
    return convert_table(toml::parse(text), source);
  } catch (const toml::parse_error& error) {
    throw SyntaxError{spot_of(error.source(), source), plain(error.description())};
  }
}

Value parse_toml_value(std::string_view text, int source) {
  constexpr std::string_view kKey = "v = ";
  try {
    Table table = parse_toml(std::string(kKey) + std::string(text), source);
    if (table.size() != 1) throw SyntaxError{{source, 1, 1}, "not one TOML value"};
    Value value = std::move(table.begin()->second);
    value.spot = {source, 1, 1};
    value.key_spot = value.spot;
    return value;
  } catch (SyntaxError& error) {
    if (error.spot.line == 1)
      error.spot.column = std::max(1, error.spot.column - static_cast<int>(kKey.size()));
    throw;
  }
}

}  // namespace xp::recipe
