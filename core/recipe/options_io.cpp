#include "core/recipe/options_io.h"

#include "core/recipe/toml.h"

namespace xp::recipe::detail {

Value to_value(bool v) { return Value(v); }
Value to_value(int64_t v) { return Value(v); }
Value to_value(double v) { return Value(v); }
Value to_value(const std::string& v) { return Value(v); }

Value to_value(const Inputs& v) { return to_value(v.list); }

Value to_value(const IntOrList& v) { return v.is_list ? to_value(v.list) : Value(v.value); }

bool has_key(const Spec& spec, std::string_view kind) {
  if (spec.only.empty()) return true;
  std::string_view rest = spec.only;
  while (!rest.empty()) {
    const std::size_t blank = rest.find(' ');
    if (rest.substr(0, blank) == kind) return true;
    if (blank == std::string_view::npos) break;
    rest.remove_prefix(blank + 1);
  }
  return false;
}

bool is_off(const Spec& spec, const Value& value) {
  return !spec.off.empty() && to_toml(value) == spec.off;
}

void fill_off(Section& section, std::string_view key, const Spec& spec) {
  if (spec.off.empty() || section.find(key) != section.end()) return;
  section[std::string(key)] = parse_toml_value(spec.off, -1);
}

namespace {

/// What stands for a string that names something outside the recipe.
Value stand_in(const Value& value, const Spec& spec) {
  const std::string* text = value.get<std::string>();
  if (text == nullptr || text->empty()) return value;
  if (spec.path) return Value("<path>");
  if (spec.input && parse_reference(*text)) return Value("<stage>");
  if (spec.input && looks_like_path(*text)) return Value("<path>");
  return value;
}

void add_one(std::vector<InputUse>& out, const std::string& key, const std::string& text,
             bool path) {
  if (text.empty() || text == "none") return;
  InputUse use{key, text, path ? std::nullopt : parse_reference(text), path};
  if (!use.reference && !path) use.path = looks_like_path(text);
  out.push_back(std::move(use));
}

}  // namespace

void add_canonical(std::string& out, const std::string& key, const Value& value, const Spec& spec) {
  if (spec.hash != HashClass::kResult || is_off(spec, value)) return;
  Value shown = stand_in(value, spec);
  if (const Array* array = value.get<Array>()) {
    Array items;
    for (const Value& item : *array) items.push_back(stand_in(item, spec));
    shown = Value(std::move(items));
  }
  out += key + " = " + to_toml(shown) + "\n";
}

void add_inputs(std::vector<InputUse>& out, const std::string& key, const Value& value,
                const Spec& spec) {
  if (!spec.path && !spec.input) return;
  if (const std::string* text = value.get<std::string>()) add_one(out, key, *text, spec.path);
  if (const Array* array = value.get<Array>()) {
    for (const Value& item : *array) {
      if (const std::string* text = item.get<std::string>()) add_one(out, key, *text, spec.path);
    }
  }
}

Section parse_section(std::string_view toml) {
  try {
    return parse_toml(toml, -1);
  } catch (const SyntaxError& error) {
    throw Error({"", error.spot.line, error.spot.column, ""}, error.message, Exit::kData);
  }
}

}  // namespace xp::recipe::detail
