#include "core/recipe/language.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace xp::recipe {
namespace {

std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (std::floor(value) == value && std::fabs(value) < 1e15)
    return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{:g}", value);
}

/// " in [0, 1)", " of at least 1", "" without limits.
std::string range_text(const Spec& spec) {
  const bool low = !std::isinf(spec.min);
  const bool high = !std::isinf(spec.max);
  if (!low && !high) return "";
  if (!high)
    return spec.open_min ? " above " + number(spec.min) : " of at least " + number(spec.min);
  return fmt::format(" in {}{}, {}{}", spec.open_min || !low ? "(" : "[", number(spec.min),
                     number(spec.max), spec.open_max ? ")" : "]");
}

bool in_range(const Spec& spec, double value) {
  if (std::isnan(value)) return false;
  if (value < spec.min || (spec.open_min && value == spec.min)) return false;
  return value <= spec.max && !(spec.open_max && value == spec.max) && !std::isinf(value);
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    out.emplace_back(text.substr(0, blank));
    if (blank == std::string_view::npos) break;
    text.remove_prefix(blank + 1);
  }
  return out;
}

std::string shortened(const Value& value) {
  constexpr std::size_t kMost = 60;
  std::string text = to_toml(value);
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string received(const Value& value) {
  return fmt::format("received {} {}", type_name(value), shortened(value));
}

bool has_reference(const std::string& text) { return text.find("${") != std::string::npos; }

/// The names a string may be: of the enum, or the spec's choices.
std::vector<std::string> allowed(const FieldSpec& field) {
  if (field.leaf == Leaf::kEnum || field.leaf == Leaf::kEnums) return field.names;
  return split_words(field.spec.choices);
}

/// nullopt when the string is one of the field's, else the hint after "received ...".
std::optional<std::string> string_fault(const FieldSpec& field, const std::string& text) {
  const std::vector<std::string> names = allowed(field);
  const bool free =
      names.empty() || (field.leaf == Leaf::kString && text.empty() && !field.spec.choices.empty());
  if (!free && std::find(names.begin(), names.end(), text) == names.end()) {
    const std::string near = nearest(text, names);
    return did_you_mean(near);
  }
  if (field.spec.accepts != nullptr && !field.spec.accepts(text)) {
    const std::string near = nearest(text, field.names);
    return did_you_mean(near);
  }
  return std::nullopt;
}

Leaf element_of(Leaf leaf) {
  switch (leaf) {
    case Leaf::kInts:
    case Leaf::kIntOrList:
      return Leaf::kInt;
    case Leaf::kFloats:
      return Leaf::kFloat;
    case Leaf::kEnums:
      return Leaf::kEnum;
    default:
      return Leaf::kString;
  }
}

bool is_list(Leaf leaf) {
  return leaf == Leaf::kInts || leaf == Leaf::kFloats || leaf == Leaf::kStrings ||
         leaf == Leaf::kEnums;
}

std::string element_text(const FieldSpec& field, Leaf leaf) {
  switch (leaf) {
    case Leaf::kBool:
      return "true or false";
    case Leaf::kInt:
      return "an integer" + range_text(field.spec);
    case Leaf::kFloat:
      return "a float" + range_text(field.spec);
    case Leaf::kEnum:
      return fmt::format("one of {}", fmt::join(field.names, ", "));
    default:
      break;
  }
  if (!field.spec.grammar.empty()) return std::string(field.spec.grammar);
  if (!field.spec.choices.empty())
    return fmt::format("one of {}", fmt::join(split_words(field.spec.choices), ", "));
  return field.spec.path ? "a path" : "a string";
}

/// True when the value may stand for one element; `hint` gets what follows "received".
bool element_ok(const FieldSpec& field, Leaf leaf, const Value& value, bool expanded,
                std::string& hint) {
  const std::string* text = value.get<std::string>();
  if (text != nullptr && !expanded && has_reference(*text)) return true;
  switch (leaf) {
    case Leaf::kBool:
      return value.get<bool>() != nullptr;
    case Leaf::kInt:
      return value.get<int64_t>() != nullptr &&
             in_range(field.spec, static_cast<double>(*value.get<int64_t>()));
    case Leaf::kFloat: {
      const int64_t* whole = value.get<int64_t>();
      const double* real = value.get<double>();
      if (whole == nullptr && real == nullptr) return false;
      return in_range(field.spec, whole != nullptr ? static_cast<double>(*whole) : *real);
    }
    default:
      break;
  }
  if (text == nullptr) return false;
  if (field.spec.input && has_reference(*text)) return true;
  const auto fault = string_fault(field, *text);
  if (fault) hint = *fault;
  return !fault;
}

}  // namespace

std::string FieldSpec::expects() const {
  switch (leaf) {
    case Leaf::kIntOrList:
      return element_text(*this, Leaf::kInt) + ", or an array of them";
    case Leaf::kInputs:
      return "a string or an array of strings";
    case Leaf::kSections:
      return "an array of tables like [" + section + "]";
    case Leaf::kStringLists:
      return "an array of arrays of strings";
    default:
      break;
  }
  if (is_list(leaf)) return "an array, each item " + element_text(*this, element_of(leaf));
  return element_text(*this, leaf);
}

std::optional<std::string> FieldSpec::fault(const Value& value, bool expanded) const {
  const Array* array = value.get<Array>();
  std::string hint;
  const auto report = [&](const Value& what) {
    return fmt::format("expected {}, {}{}", expects(), received(what), hint);
  };
  if (leaf == Leaf::kSections) {
    if (array == nullptr) return report(value);
    for (const Value& item : *array) {
      if (item.get<Table>() == nullptr) return report(item);
    }
    return std::nullopt;
  }
  if (leaf == Leaf::kStringLists) {
    if (array == nullptr) return report(value);
    for (const Value& item : *array) {
      const Array* inner = item.get<Array>();
      if (inner == nullptr) return report(item);
      for (const Value& word : *inner) {
        if (word.get<std::string>() == nullptr) return report(word);
      }
    }
    return std::nullopt;
  }
  if (is_list(leaf) || (array != nullptr && (leaf == Leaf::kIntOrList || leaf == Leaf::kInputs))) {
    const std::string* text = value.get<std::string>();
    if (text != nullptr && !expanded && has_reference(*text)) return std::nullopt;
    if (array == nullptr) return report(value);
    for (const Value& item : *array) {
      if (!element_ok(*this, element_of(leaf), item, expanded, hint)) return report(item);
    }
    return std::nullopt;
  }
  const Leaf single = leaf == Leaf::kIntOrList || leaf == Leaf::kInputs ? element_of(leaf) : leaf;
  if (element_ok(*this, single, value, expanded, hint)) return std::nullopt;
  return report(value);
}

const FieldSpec* SectionSpec::find(std::string_view key) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [key](const FieldSpec& f) { return f.key == key; });
  return found == fields.end() ? nullptr : &*found;
}

std::optional<std::size_t> SectionSpec::kind_of(const Section& section) const {
  if (kind_key.empty()) return std::nullopt;
  const auto found = section.find(kind_key);
  if (found == section.end()) return default_kind;
  const std::string* chosen = found->second.get<std::string>();
  return chosen == nullptr ? std::nullopt : parse_kind(*chosen);
}

bool SectionSpec::has(const FieldSpec& field, const Section& section) const {
  if (field.spec.only.empty()) return true;
  const auto kind = kind_of(section);
  return !kind || detail::has_key(field.spec, kinds[*kind]);
}

const Value& SectionSpec::effective(const FieldSpec& field, const Section& section) const {
  const auto found = section.find(field.key);
  if (found != section.end()) return found->second;
  return field.default_of(kind_of(section).value_or(0));
}

std::vector<std::string> SectionSpec::keys() const {
  std::vector<std::string> out;
  for (const FieldSpec& field : fields) out.push_back(field.key);
  return out;
}

bool StageKindSpec::may_read(std::string_view section) const {
  return std::find(sections.begin(), sections.end(), section) != sections.end();
}

bool StageKindSpec::carries(std::string_view section) const {
  return std::find(carried.begin(), carried.end(), section) != carried.end();
}

const SectionSpec* Language::find_section(std::string_view name) const {
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [name](const SectionSpec& s) { return s.name == name; });
  return found == sections.end() ? nullptr : &*found;
}

const StageKindSpec* Language::find_stage_kind(std::string_view name) const {
  const auto found = std::find_if(stage_kinds.begin(), stage_kinds.end(),
                                  [name](const StageKindSpec& s) { return s.name == name; });
  return found == stage_kinds.end() ? nullptr : &*found;
}

const FieldSpec* Language::find_key(std::string_view dotted) const {
  const std::size_t dot = dotted.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const std::string_view head = dotted.substr(0, dot);
  std::string_view rest = dotted.substr(dot + 1);
  if (head == "sweep") return sweep.find(rest);
  if (head != "stages") {
    const SectionSpec* section = find_section(head);
    return section == nullptr ? nullptr : section->find(rest);
  }
  const std::size_t name_end = rest.find('.');
  if (name_end == std::string_view::npos) return nullptr;
  rest.remove_prefix(name_end + 1);
  constexpr std::string_view kWith = "with.";
  if (rest.substr(0, kWith.size()) == kWith) {
    rest.remove_prefix(kWith.size());
    const SectionSpec* section = find_section(rest.substr(0, rest.find('.')));
    if (section == nullptr || rest.find('.') == std::string_view::npos) return nullptr;
    return section->find(rest.substr(rest.find('.') + 1));
  }
  return stage_keys.find(rest);
}

std::vector<std::string> Language::all_keys() const {
  std::vector<std::string> out;
  for (const SectionSpec& section : sections) {
    for (const FieldSpec& field : section.fields) out.push_back(field.dotted());
  }
  return out;
}

std::string Language::hint_for(std::string_view dotted) const {
  std::string near = nearest(dotted, all_keys());
  const std::string_view key = dotted.substr(std::min(dotted.rfind('.') + 1, dotted.size()));
  for (const SectionSpec& section : sections) {
    if (near.empty() && section.find(key) != nullptr) near = section.name + "." + std::string(key);
  }
  return did_you_mean(near);
}

std::vector<std::string> Language::section_names() const {
  std::vector<std::string> out;
  for (const SectionSpec& section : sections) out.push_back(section.name);
  return out;
}

}  // namespace xp::recipe
