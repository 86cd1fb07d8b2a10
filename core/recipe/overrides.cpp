#include "core/recipe/overrides.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

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

/// "--set train.epochs=3 --set train.loss=ce" of train = {epochs = 3, loss = "ce"}.
void add_single_keys(const std::string& key, const Value& value, const std::string& flag,
                     std::vector<std::string>& out) {
  if (const auto* table = value.get<Table>()) {
    for (const auto& [name, inner] : *table) add_single_keys(key + "." + name, inner, flag, out);
    return;
  }
  const auto* text = value.get<std::string>();
  out.push_back(fmt::format("{} {}={}", flag, key, text != nullptr ? *text : to_toml(value)));
}

/// What is wrong with a key that the language does not have.
std::string no_such_key(const Language& language, const Override& override, int source) {
  try {
    const Value value = parse_toml_value(override.text, source);
    std::vector<std::string> single;
    add_single_keys(override.key, value, override.flag, single);
    const bool known = std::all_of(single.begin(), single.end(), [&](const std::string& one) {
      const std::size_t begin = override.flag.size() + 1;
      return language.find_key(one.substr(begin, one.find('=') - begin)) != nullptr;
    });
    if (known && !single.empty())
      return fmt::format("'{}' is set key by key: {}", override.key, fmt::join(single, " "));
  } catch (const SyntaxError&) {
    // what is no TOML is no table of keys
  }
  const SectionSpec* section = language.find_section(override.key);
  if (section == nullptr)
    return fmt::format("unknown key '{}'{}", override.key, language.hint_for(override.key));
  return fmt::format("'{}' is a section, it has the keys {}", override.key,
                     fmt::join(section->keys(), ", "));
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

Value override_value(const FieldSpec& field, const std::string& key, const std::string& text,
                     int source) {
  if (raw_text(field, text)) return Value(text);
  try {
    return parse_toml_value(text, source);
  } catch (const SyntaxError&) {
    throw Error(fmt::format("{}: expected {}, received '{}'", key, field.expects(), text));
  }
}

std::optional<Layer> override_layer(const Language& language, const Override& override,
                                    const Table& merged, Sources& sources, Faults& faults) {
  const int source = sources.add({override.flag, {}, {}, override.key + "=" + override.text});
  const Spot key_spot{source, 1, 1};
  const Spot value_spot{source, 1, static_cast<int>(override.key.size()) + 2};
  const FieldSpec* field = language.find_key(override.key);
  const std::vector<std::string> path = split_dots(override.key);
  if (field == nullptr) {
    faults.add(key_spot, no_such_key(language, override, source));
    return std::nullopt;
  }
  if (path.front() == "stages") {
    if (const auto fault = unknown_stage(merged, path[1])) {
      faults.add(key_spot, *fault);
      return std::nullopt;
    }
  }
  Value value;
  try {
    value = override_value(*field, override.key, override.text, source);
  } catch (const Error& error) {
    faults.add(value_spot, error.message());
    return std::nullopt;
  }
  value.spot = value_spot;
  return Layer{override.flag, nest(path, std::move(value), key_spot), true};
}

}  // namespace xp::recipe
