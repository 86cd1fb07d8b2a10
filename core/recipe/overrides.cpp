#include "core/recipe/overrides.h"

#include <fmt/format.h>

#include "core/recipe/toml.h"

namespace xp::recipe {
namespace {

/// True for keys whose text is taken as it is.
bool raw_text(const FieldSpec& field, const std::string& text) {
  if (text.find("${") != std::string::npos) return true;
  if (field.leaf == Leaf::kInputs) return text.empty() || text.front() != '[';
  return field.leaf == Leaf::kString || field.leaf == Leaf::kEnum;
}

std::optional<std::string> unknown_stage(const Table& merged, const std::string& name) {
  std::vector<std::string> names;
  if (const auto stages = merged.find("stages"); stages != merged.end()) {
    for (const auto& [stage, value] : *stages->second.get<Table>()) names.push_back(stage);
  }
  for (const std::string& known : names) {
    if (known == name) return std::nullopt;
  }
  const std::string near = nearest(name, names);
  return fmt::format("the recipe has no stage '{}'{}", name, did_you_mean(near));
}

Table nest(const std::vector<std::string>& path, Value leaf, const Spot& key_spot) {
  leaf.key_spot = key_spot;
  for (std::size_t i = path.size(); i-- > 1;) {
    Table table;
    table.emplace(path[i], std::move(leaf));
    leaf = Value(std::move(table));
    leaf.spot = key_spot;
    leaf.key_spot = key_spot;
  }
  Table out;
  out.emplace(path.front(), std::move(leaf));
  return out;
}

}  // namespace

std::optional<Layer> override_layer(const Language& language, const Override& override,
                                    const Table& merged, Sources& sources, Faults& faults) {
  const int source = sources.add({override.flag, {}, {}, override.key + "=" + override.text});
  const Spot key_spot{source, 1, 1};
  const Spot value_spot{source, 1, static_cast<int>(override.key.size()) + 2};
  const FieldSpec* field = language.find_key(override.key);
  const std::vector<std::string> path = split_dots(override.key);
  if (field == nullptr) {
    faults.add(key_spot,
               fmt::format("unknown key '{}'{}", override.key, language.hint_for(override.key)));
    return std::nullopt;
  }
  if (path.front() == "stages") {
    if (const auto fault = unknown_stage(merged, path[1])) {
      faults.add(key_spot, *fault);
      return std::nullopt;
    }
  }
  Value value(override.text);
  if (!raw_text(*field, override.text)) {
    try {
      value = parse_toml_value(override.text, source);
    } catch (const SyntaxError&) {
      faults.add(value_spot, fmt::format("{}: expected {}, received '{}'", override.key,
                                         field->expects(), override.text));
      return std::nullopt;
    }
  }
  value.spot = value_spot;
  return Layer{override.flag, nest(path, std::move(value), key_spot), true};
}

}  // namespace xp::recipe
