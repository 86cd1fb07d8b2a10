#include "core/recipe/expand.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/files.h"
#include "core/recipe/toml.h"

namespace xp::recipe {
namespace {

constexpr std::size_t kLongest = std::size_t{1} << 16;       ///< of an expanded string
constexpr std::size_t kMostExpanded = std::size_t{4} << 20;  ///< of all of them
constexpr std::size_t kDeepest = 64;                         ///< references to references

bool takes_text(Leaf leaf) {
  return leaf == Leaf::kString || leaf == Leaf::kEnum || leaf == Leaf::kInputs;
}

/// How a value reads inside a longer string.
std::string as_text(const Value& value) {
  const std::string* text = value.get<std::string>();
  return text != nullptr ? *text : to_toml(value);
}

/// One piece of a string: literal text, or the inside of a ${...}.
struct Piece {
  bool reference = false;
  std::string text;
};

/// nullopt when a "${" has no "}". "$${" stands for "${".
std::optional<std::vector<Piece>> pieces_of(const std::string& text) {
  std::vector<Piece> out;
  std::string literal;
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 3, "$${") == 0) {
      literal += "${";
      i += 3;
    } else if (text.compare(i, 2, "${") == 0) {
      const std::size_t close = text.find('}', i);
      if (close == std::string::npos) return std::nullopt;
      if (!literal.empty()) out.push_back({false, std::exchange(literal, {})});
      out.push_back({true, text.substr(i + 2, close - i - 2)});
      i = close + 1;
    } else {
      literal += text[i++];
    }
  }
  if (!literal.empty() || out.empty()) out.push_back({false, std::move(literal)});
  return out;
}

}  // namespace

Expander::Expander(const Language& language, const Table& base, const Sources& sources,
                   Faults& faults, Environment environment, std::filesystem::path working_folder)
    : language_(language),
      base_(base),
      sources_(sources),
      faults_(faults),
      environment_(std::move(environment)),
      working_folder_(std::move(working_folder)) {}

std::optional<Value> Expander::expand(const FieldSpec& field, const Value& value) {
  if (value.get<std::string>() != nullptr) return expand_string(field, value);
  const Array* array = value.get<Array>();
  if (array == nullptr) return value;
  Value out = value;
  Array& items = *out.get<Array>();
  for (Value& item : items) {
    if (Table* table = item.get<Table>()) {  // dataset.also
      const SectionSpec* section = language_.find_section(field.section);
      for (auto& [key, inner] : *table) {
        const auto expanded = expand(*section->find(key), inner);
        if (!expanded) return std::nullopt;
        inner = *expanded;
      }
    } else if (item.get<std::string>() != nullptr) {
      FieldSpec element = field;
      element.leaf =
          field.leaf == Leaf::kInputs || field.leaf == Leaf::kStrings ? Leaf::kString : field.leaf;
      if (field.leaf == Leaf::kEnums) element.leaf = Leaf::kEnum;
      if (field.leaf == Leaf::kStringLists) continue;
      const auto expanded = expand_string(element, item);
      if (!expanded) return std::nullopt;
      item = *expanded;
    }
  }
  return out;
}

std::optional<Value> Expander::expand_string(const FieldSpec& field, const Value& value) {
  const std::string& text = *value.get<std::string>();
  if (text.find("${") == std::string::npos) return with_paths(field, value, false);
  if (parse_reference(text)) {
    if (field.spec.input) return value;
    faults_.add(value.spot, fmt::format("{}: a reference to a stage cannot stand here; expected {}",
                                        field.dotted(), field.expects()));
    return std::nullopt;
  }
  const auto pieces = pieces_of(text);
  if (!pieces) {
    faults_.add(value.spot,
                fmt::format("{}: '${{' without '}}' in {}", field.dotted(), quote(text)));
    return std::nullopt;
  }
  Value out = value;
  const bool whole = pieces->size() == 1 && pieces->front().reference;
  std::string joined;
  for (const Piece& piece : *pieces) {
    if (!piece.reference) {
      joined += piece.text;
      continue;
    }
    const auto found = lookup(piece.text, value);
    if (!found) return std::nullopt;
    if (whole) out.data = found->data;
    joined += as_text(*found);
    if (joined.size() > kLongest) {
      faults_.add(value.spot,
                  fmt::format("{}: longer than {} characters when its references are put in",
                              field.dotted(), kLongest));
      return std::nullopt;
    }
  }
  expanded_ += joined.size();
  if (expanded_ > kMostExpanded) {
    faults_.add(value.spot,
                fmt::format("references put in more than {} characters", kMostExpanded));
    return std::nullopt;
  }
  if (!whole) out.data = joined;
  const std::string* result = out.get<std::string>();
  const bool from_environment =
      pieces->front().reference && pieces->front().text.substr(0, 4) == "env:";
  if (result != nullptr && !takes_text(field.leaf)) {  // text of the environment for a number, say
    try {
      out.data = parse_toml_value(*result, -1).data;
    } catch (const SyntaxError&) {
      out.data = *result;
    }
  }
  if (const auto fault = field.fault(out, true)) {
    faults_.add(value.spot, fmt::format("{}: {} (from {})", field.dotted(), *fault, quote(text)));
    return std::nullopt;
  }
  return with_paths(field, std::move(out), from_environment);
}

std::optional<Value> Expander::lookup(const std::string& name, const Value& at) {
  if (name.substr(0, 4) == "env:") return environment_value(name.substr(4), at);
  if (name.substr(0, 7) == "stages.") {
    faults_.add(
        at.spot,
        fmt::format(
            "'${{{}}}': a reference to a stage stands alone and reads ${{stages.NAME.ATTR}}",
            name));
    return std::nullopt;
  }
  return key_value(name, at);
}

std::optional<Value> Expander::environment_value(const std::string& name, const Value& at) {
  const std::size_t colon = name.find(":-");
  const std::string variable = name.substr(0, colon);
  if (variable.empty() ||
      variable.find_first_not_of(
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    faults_.add(
        at.spot,
        fmt::format("'${{env:{}}}': expected ${{env:NAME}} or ${{env:NAME:-default}}", name));
    return std::nullopt;
  }
  if (const auto value = environment_(variable); value && !value->empty()) return Value(*value);
  if (colon != std::string::npos) return Value(name.substr(colon + 2));
  faults_.add(
      at.spot,
      fmt::format(
          "the environment variable {} is not set; give it a value, or write ${{env:{}:-default}}",
          variable, variable));
  return std::nullopt;
}

std::optional<Value> Expander::key_value(const std::string& dotted, const Value& at) {
  const FieldSpec* field = language_.find_key(dotted);
  const SectionSpec* section = language_.find_section(dotted.substr(0, dotted.find('.')));
  if (field == nullptr || section == nullptr) {
    faults_.add(at.spot, fmt::format("'${{{}}}': there is no key '{}'{}", dotted, dotted,
                                     language_.hint_for(dotted)));
    return std::nullopt;
  }
  if (std::find(stack_.begin(), stack_.end(), dotted) != stack_.end() || stack_.size() > kDeepest) {
    std::string chain;
    for (const std::string& key : stack_) chain += key + " -> ";
    faults_.add(at.spot, fmt::format("references go round in a circle: {}{}", chain, dotted));
    return std::nullopt;
  }
  if (const auto found = known_.find(dotted); found != known_.end()) return found->second;
  const auto table = base_.find(section->name);
  static const Section kEmpty;
  const Section* values = table == base_.end() ? nullptr : table->second.get<Table>();
  const Value& raw = section->effective(*field, values == nullptr ? kEmpty : *values);
  stack_.push_back(dotted);
  auto out = expand(*field, raw);
  stack_.pop_back();
  known_.emplace(dotted, out);
  return out;
}

Value Expander::with_paths(const FieldSpec& field, Value value, bool from_environment) const {
  std::string* text = value.get<std::string>();
  if (text == nullptr || text->empty()) return value;
  const bool path =
      field.spec.path || (field.spec.input && *text != "none" && looks_like_path(*text));
  if (!path) return value;
  std::filesystem::path file = expand_user(*text);
  if (file.is_relative()) {
    const bool in_file =
        value.spot.source >= 0 && !from_environment && !sources_.at(value.spot.source).file.empty();
    file = (in_file ? sources_.at(value.spot.source).folder : working_folder_) / file;
  }
  *text = file.lexically_normal().string();
  return value;
}

}  // namespace xp::recipe
