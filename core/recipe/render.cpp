#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/recipe/merge.h"
#include "core/recipe/state.h"

namespace fs = std::filesystem;

/// The three texts that are made of a resolved recipe: its canonical form, `show` and `explain`.
namespace xp::recipe {
namespace {

// ---- canonical form ----

constexpr std::uintmax_t kWholeFile = std::uintmax_t{16} << 20;
constexpr std::streamsize kEnd = std::streamsize{1} << 20;

/// What a path holds: the digest of a file; of a file above 16 MiB its size, first and last MiB.
/// Folders, and what is not there, stand as <path>: what they hold is in the keys of the stages
/// that read them.
std::string content_of(const std::string& path) {
  std::error_code none;
  if (path.empty() || !fs::is_regular_file(path, none)) return "<path>";
  const auto size = fs::file_size(path, none);
  if (none) return "<path>";
  if (size <= kWholeFile) return "sha256:" + sha256_file(path);
  std::ifstream file(path, std::ios::binary);
  std::string ends(static_cast<std::size_t>(2 * kEnd), '\0');
  file.read(ends.data(), kEnd);
  file.seekg(-kEnd, std::ios::end);
  file.read(ends.data() + kEnd, kEnd);
  return fmt::format("ends:{}:{}", size, sha256(ends));
}

Value canonical_text_of(const FieldSpec& field, const Value& value) {
  const std::string* text = value.get<std::string>();
  if (text == nullptr) return value;
  if (field.spec.path) return Value(content_of(*text));
  const bool file =
      field.spec.input && *text != "none" && !parse_reference(*text) && looks_like_path(*text);
  return file ? Value(content_of(*text)) : value;
}

/// True when the leaf is no part of the canonical form: a speed or a label, or at its `off` value.
bool left_out(const FieldSpec& field, const Value& value) {
  if (field.spec.hash != HashClass::kResult) return true;
  const int64_t* whole = field.leaf == Leaf::kFloat ? value.get<int64_t>() : nullptr;
  return detail::is_off(field.spec, whole != nullptr ? Value(static_cast<double>(*whole)) : value);
}

Value canonical_value(const Language& language, const FieldSpec& field, const Value& value) {
  if (field.leaf == Leaf::kFloat) {
    if (const int64_t* whole = value.get<int64_t>()) return Value(static_cast<double>(*whole));
  }
  if (field.leaf == Leaf::kInputs && value.get<std::string>() != nullptr)
    return Value(Array{canonical_text_of(field, value)});
  const Array* array = value.get<Array>();
  if (array == nullptr) return canonical_text_of(field, value);
  Array out;
  for (const Value& item : *array) {
    const Table* table = item.get<Table>();
    if (table == nullptr) {
      const int64_t* whole = field.leaf == Leaf::kFloats ? item.get<int64_t>() : nullptr;
      out.push_back(whole != nullptr ? Value(static_cast<double>(*whole))
                                     : canonical_text_of(field, item));
      continue;
    }
    const SectionSpec& spec = *language.find_section(field.section);
    Table leaves;
    for (const FieldSpec& inner : spec.fields) {
      const Value& set = spec.effective(inner, *table);
      if (left_out(inner, set) || !spec.has(inner, *table)) continue;
      leaves[inner.key] = canonical_value(language, inner, set);
    }
    out.push_back(Value(std::move(leaves)));
  }
  return Value(std::move(out));
}

void add_section(std::vector<std::string>& lines, const Language& language,
                 const std::string& prefix, const SectionSpec& spec, const Section& section) {
  for (const FieldSpec& field : spec.fields) {
    const Value& set = spec.effective(field, section);
    if (left_out(field, set) || !spec.has(field, section)) continue;
    if (spec.name == "experiment" && field.key == "goals") continue;
    const Value value = canonical_value(language, field, set);
    lines.push_back(fmt::format("{}.{} = {}", prefix, field.dotted(), to_toml(value)));
  }
}

// ---- show ----

/// A string that is no reference to a stage has its "${" written "$${", so that it reads back as it
/// is.
Value escaped(Value value) {
  if (std::string* text = value.get<std::string>()) {
    if (parse_reference(*text)) return value;
    for (std::size_t at = text->find("${"); at != std::string::npos; at = text->find("${", at + 3))
      text->insert(at, "$");
  }
  if (Array* array = value.get<Array>()) {
    for (Value& item : *array) item = escaped(std::move(item));
  }
  if (Table* table = value.get<Table>()) {
    for (auto& [key, item] : *table) item = escaped(std::move(item));
  }
  return value;
}

std::string line_of(const std::string& key, const Value& value) {
  return fmt::format("{} = {}\n", key, to_toml(escaped(value)));
}

/// A section with every key of its kind, defaults included, where its kind is known.
std::string section_lines(const SectionSpec& spec, const Section& section) {
  const bool known = spec.kind_key.empty() || spec.kind_of(section).has_value();
  std::string out;
  for (const FieldSpec& field : spec.fields) {
    if (field.key == "without_data") continue;  // names a variant, and what is shown has none
    const bool set = section.count(field.key) != 0;
    if (!set && (!known || field.spec.required || !spec.has(field, section))) continue;
    out += line_of(field.key, spec.effective(field, section));
  }
  return out;
}

std::string stage_lines(const StageText& text) {
  std::string out = fmt::format("\n[stages.{}]\ndo = {}\n", text.name, quote(text.kind));
  for (const auto& [key, value] : text.keys) out += line_of(key, value);
  if (!text.each.empty()) {
    Table each;
    for (const auto& [key, values] : text.each)
      each[key] = Value(Array(values.begin(), values.end()));
    out += line_of("each", Value(std::move(each)));
  }
  for (const auto& [name, section] : text.with) {
    if (section.empty()) continue;
    out += fmt::format("[stages.{}.with.{}]\n", text.name, name);
    for (const auto& [key, value] : section) out += line_of(key, value);
  }
  return out;
}

std::string sweep_lines(const Table& merged) {
  const auto found = merged.find("sweep");
  if (found == merged.end()) return "";
  std::string out = "\n[sweep]\n";
  for (const auto& [key, value] : *found->second.get<Table>()) out += line_of(key, value);
  return out;
}

bool read_by_a_stage(const Recipe::State& state, const std::string& section) {
  if (section == "experiment") return true;
  return std::any_of(state.stages.begin(), state.stages.end(), [&](const Stage& stage) {
    return state.kind_of(stage).may_read(section) && state.find_text(stage.name)->inherits(section);
  });
}

// ---- explain ----

const Table* table_at(const Table& tree, std::string_view key) {
  const auto found = tree.find(key);
  return found == tree.end() ? nullptr : found->second.get<Table>();
}

/// The table that holds a key: {"tome"}, or {"stages", "train", "with", "tome"}.
const Table* holder_of(const Table& tree, const std::vector<std::string>& path) {
  const Table* at = &tree;
  for (std::size_t i = 0; i + 1 < path.size() && at != nullptr; ++i) at = table_at(*at, path[i]);
  return at;
}

void add_layers(std::vector<Setting>& out, const Recipe::State& state,
                const std::vector<std::string>& path, const SectionSpec* section) {
  Section so_far;
  for (const Layer& layer : state.layers) {
    const Table* whole = holder_of(layer.override ? state.overrides : layer.tree, path);
    if (section != nullptr && whole != nullptr) {
      if (changes_kind(*section, so_far, *whole)) {
        for (Setting& setting : out)
          setting.dropped = setting.dropped || setting.layer != "default";
      }
      merge_section(*section, so_far, *whole);
    }
    const Table* holder = holder_of(layer.tree, path);
    if (holder == nullptr) continue;
    const auto found = holder->find(path.back());
    if (found == holder->end()) continue;
    out.push_back(
        {layer.label, state.sources.place(found->second.key_spot), to_toml(found->second), false});
  }
}

void add_default(std::vector<Setting>& out, const FieldSpec& field, const SectionSpec& spec,
                 const Section& section) {
  if (field.spec.required) {
    out.push_back({"default", {}, "none: it has to be set", false});
  } else if (!spec.has(field, section)) {
    out.push_back(
        {"default", {}, fmt::format("none: not a key of this kind of [{}]", spec.name), false});
  } else {
    out.push_back(
        {"default", {}, to_toml(field.default_of(spec.kind_of(section).value_or(0))), false});
  }
}

void add_stages(std::vector<Setting>& out, const Recipe::State& state, const FieldSpec& field) {
  for (const StageText& text : state.texts) {
    if (!text.inherits(field.section)) {
      const Value& cut = text.keys.find("inherit")->second;
      out.push_back({fmt::format("stages.{}", text.name), state.sources.place(cut.key_spot),
                     "not inherited (inherit = false)", false});
    }
    if (const auto with = text.with.find(field.section); with != text.with.end()) {
      if (const auto found = with->second.find(field.key); found != with->second.end()) {
        out.push_back({fmt::format("stages.{}.with", text.name),
                       state.sources.place(found->second.key_spot), to_toml(found->second), false});
      }
    }
    for (const auto& [key, values] : text.each) {
      if (key != field.dotted() || values.empty()) continue;
      out.push_back({fmt::format("stages.{}.each", text.name),
                     state.sources.place(text.value.key_spot),
                     to_toml(Value(Array(values.begin(), values.end()))), false});
    }
  }
}

}  // namespace

std::string canonical_of(const Recipe::State& state) {
  std::vector<std::string> lines;
  const Language& language = *state.language;
  for (const Stage& stage : state.stages) {
    const StageKindSpec& kind = state.kind_of(stage);
    for (const Instance& instance : stage.instances) {
      lines.push_back(fmt::format("{}.do = {}", instance.name, quote(stage.kind)));
      for (const auto& [key, value] : instance.view.keys) {
        const FieldSpec& field = *language.stage_keys.find(key);
        if (left_out(field, value)) continue;
        lines.push_back(fmt::format("{}.{} = {}", instance.name, key,
                                    to_toml(canonical_value(language, field, value))));
      }
      for (const std::string& name : kind.sections) {
        const SectionSpec* spec = language.find_section(name);
        const auto found = instance.view.sections.find(name);
        const Section section = found == instance.view.sections.end() ? Section{} : found->second;
        if (spec != nullptr) add_section(lines, language, instance.name, *spec, section);
      }
    }
  }
  const Value* goals = state.base.find("experiment", "goals");
  lines.push_back("goals = " + (goals == nullptr ? "[]" : to_toml(*goals)));
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string show_of(const Recipe::State& state) {
  std::string out =
      fmt::format("# {} as resolved; it needs no other file.\n", state.path.filename().string());
  for (const SectionSpec& spec : state.language->sections) {
    if (!read_by_a_stage(state, spec.name)) continue;
    const auto found = state.base.sections.find(spec.name);
    const std::string lines =
        section_lines(spec, found == state.base.sections.end() ? Section{} : found->second);
    if (!lines.empty()) out += fmt::format("\n[{}]\n{}", spec.name, lines);
  }
  for (const StageText& text : state.texts) out += stage_lines(text);
  return out + sweep_lines(state.merged);
}

std::vector<Setting> explain_key(const Recipe::State& state, std::string_view key) {
  const Language& language = *state.language;
  const FieldSpec* field = language.find_key(key);
  if (field == nullptr) {
    throw Error(fmt::format("there is no key '{}'{}", key, language.hint_for(key)));
  }
  const std::vector<std::string> path = split_dots(key);
  const SectionSpec* section = language.find_section(field->section);
  std::vector<Setting> out;
  const bool top = path.front() != "stages" && path.front() != "sweep";
  if (top) {
    const auto base = state.base.sections.find(field->section);
    add_default(out, *field, *section,
                base == state.base.sections.end() ? Section{} : base->second);
  } else if (path.front() == "sweep") {
    out.push_back({"default", {}, to_toml(field->default_of(0)), false});
  }
  add_layers(out, state, path, path.size() == 2 || path.size() == 5 ? section : nullptr);
  if (top) add_stages(out, state, *field);
  return out;
}

}  // namespace xp::recipe
