#include "core/recipe/reference.h"

#include <fmt/format.h>

namespace xp::recipe {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view before = "",
                   std::string_view after = "") {
  std::string out;
  for (const std::string& word : words)
    out += fmt::format("{}{}{}{}", out.empty() ? "" : ", ", before, word, after);
  return out;
}

/// A '|' would end a cell of the table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string class_letter(HashClass hash) {
  switch (hash) {
    case HashClass::kResult:
      return "R";
    case HashClass::kSpeed:
      return "S";
    case HashClass::kLabel:
      return "L";
  }
  return "";
}

/// "16000", or "16000 (kaldi), 32000 (augment_mel)" where kinds differ.
std::string default_text(const SectionSpec& section, const FieldSpec& field) {
  if (field.spec.required) return "*required*";
  std::vector<std::pair<std::string, std::string>> by_value;  // value, kinds
  for (std::size_t i = 0; i < field.defaults.size(); ++i) {
    if (field.defaults.size() > 1 && !detail::has_key(field.spec, section.kinds[i])) continue;
    const std::string value = to_toml(field.defaults[i]);
    bool found = false;
    for (auto& [known, kinds] : by_value) {
      if (known != value) continue;
      kinds += ", " + section.kinds[i];
      found = true;
    }
    if (!found) by_value.emplace_back(value, section.kinds.empty() ? "" : section.kinds[i]);
  }
  if (by_value.size() == 1) return "`" + by_value.front().first + "`";
  std::string out;
  for (const auto& [value, kinds] : by_value)
    out += fmt::format("{}`{}` ({})", out.empty() ? "" : "; ", value, kinds);
  return out;
}

std::string commas(std::string_view words) {
  std::string out;
  for (const char c : words) out += c == ' ' ? std::string(", ") : std::string(1, c);
  return out;
}

std::string key_line(const SectionSpec& section, const FieldSpec& field) {
  std::string help = field.help;
  if (!field.spec.only.empty()) help += fmt::format(" *(only {})*", commas(field.spec.only));
  if (field.spec.input) help += " *(may be `${stages.NAME.ATTR}`)*";
  const std::string unit = field.spec.unit.empty() ? "" : fmt::format(" [{}]", field.spec.unit);
  return fmt::format("| `{}` | {}{} | {} | {} | {} |\n", field.key, cell(field.expects()), unit,
                     cell(default_text(section, field)), class_letter(field.spec.hash), cell(help));
}

std::string section_text(const SectionSpec& section) {
  std::string out = fmt::format("\n## [{}]\n\n{}.", section.name, section.help);
  if (!section.kind_key.empty()) {
    out += fmt::format(
        " `{}` is its kind key: a layer that changes it ({}) drops the lower layers' other keys.",
        section.kind_key, joined(section.kinds));
  }
  out += "\n\n| key | takes | default | class | |\n| --- | --- | --- | --- | --- |\n";
  for (const FieldSpec& field : section.fields) out += key_line(section, field);
  return out;
}

std::string stage_kind_line(const StageKindSpec& kind) {
  std::vector<std::string> keys;
  for (const std::string& key : kind.keys) {
    bool required = false;
    for (const std::string& other : kind.required) required = required || other == key;
    keys.push_back("`" + key + "`" + (required ? " (required)" : ""));
  }
  return fmt::format("| `{}` | {}{} | {} | {} | {} |\n", kind.name, kind.help,
                     kind.goal ? " *(a goal)*" : "", joined(kind.sections), joined(keys),
                     joined(kind.attributes));
}

constexpr const char* kIntroduction = R"(# Recipe reference

Generated from the option structs by `exp recipe schema --markdown`; a test keeps it current. The language itself
(layers, references, stages, variants, sweeps) is told in [recipes.md](recipes.md).

Class: **R** changes results, so it is in the recipe's hash and in stage keys; **S** is speed or place and **L** a
label: neither is hashed. An integer may stand for a float. A string `"${section.key}"` or `"${env:NAME:-default}"`
may stand for any value.
)";

}  // namespace

std::string reference_markdown(const Language& language) {
  std::string out = kIntroduction;
  for (const SectionSpec& section : language.sections) out += section_text(section);
  out += section_text(language.stage_keys);
  out +=
      "\nKinds of stages (`do`), the sections that each reads, its own keys, and its attributes "
      "for "
      "`${stages.NAME.ATTR}`:\n\n| kind | | reads | keys | attributes |\n| --- | --- | --- | --- | "
      "--- |\n";
  for (const StageKindSpec& kind : language.stage_kinds) out += stage_kind_line(kind);
  out += section_text(language.sweep);
  out +=
      "| `params` | a table of \"section.key\" = spec | `{}` | R | the axes; `--param` replaces "
      "all of it |\n";
  return out;
}

}  // namespace xp::recipe
