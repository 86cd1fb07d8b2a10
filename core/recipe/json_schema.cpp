#include <cmath>

#include <nlohmann/json.hpp>

#include "core/recipe/reference.h"

namespace xp::recipe {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Value& value) {
  struct Visitor {
    Json operator()(bool v) const { return v; }
    Json operator()(int64_t v) const { return v; }
    Json operator()(double v) const { return v; }
    Json operator()(const std::string& v) const { return v; }
    Json operator()(const Array& v) const {
      Json out = Json::array();
      for (const Value& item : v) out.push_back(to_json(item));
      return out;
    }
    Json operator()(const Table& v) const {
      Json out = Json::object();
      for (const auto& [key, item] : v) out[key] = to_json(item);
      return out;
    }
  };
  return std::visit(Visitor{}, value.data);
}

void add_range(Json& out, const Spec& spec) {
  if (!std::isinf(spec.min)) out[spec.open_min ? "exclusiveMinimum" : "minimum"] = spec.min;
  if (!std::isinf(spec.max)) out[spec.open_max ? "exclusiveMaximum" : "maximum"] = spec.max;
}

Json words(std::string_view text) {
  Json out = Json::array();
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    out.push_back(std::string(text.substr(0, blank)));
    if (blank == std::string_view::npos) break;
    text.remove_prefix(blank + 1);
  }
  return out;
}

Json element(const FieldSpec& field, Leaf leaf) {
  Json out = Json::object();
  switch (leaf) {
    case Leaf::kBool:
      out["type"] = "boolean";
      return out;
    case Leaf::kInt:
      out["type"] = "integer";
      add_range(out, field.spec);
      return out;
    case Leaf::kFloat:
      out["type"] = "number";
      add_range(out, field.spec);
      return out;
    case Leaf::kEnum:
      out["enum"] = field.names;
      return out;
    default:
      break;
  }
  out["type"] = "string";
  if (!field.spec.choices.empty()) {
    out["enum"] = words(field.spec.choices);
    if (field.leaf == Leaf::kString) out["enum"].push_back("");
  }
  if (field.is_kind && !field.names.empty()) out["examples"] = field.names;
  return out;
}

Json array_of(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }

Json reference() { return {{"type", "string"}, {"pattern", "\\$\\{[^}]+\\}"}}; }

Json any_of(std::initializer_list<Json> options) {
  Json list = Json::array();
  for (const Json& option : options) list.push_back(option);
  return {{"anyOf", std::move(list)}};
}

/// The value's own type, without references.
Json plain(const FieldSpec& field) {
  switch (field.leaf) {
    case Leaf::kIntOrList:
      return any_of({element(field, Leaf::kInt), array_of(element(field, Leaf::kInt))});
    case Leaf::kInputs:
      return any_of({element(field, Leaf::kString), array_of(element(field, Leaf::kString))});
    case Leaf::kInts:
      return array_of(element(field, Leaf::kInt));
    case Leaf::kFloats:
      return array_of(element(field, Leaf::kFloat));
    case Leaf::kStrings:
      return array_of(element(field, Leaf::kString));
    case Leaf::kEnums:
      return array_of(element(field, Leaf::kEnum));
    case Leaf::kStringLists:
      return array_of(array_of(element(field, Leaf::kString)));
    case Leaf::kSections:
      return array_of({{"$ref", "#/definitions/" + field.section}});
    default:
      return element(field, field.leaf);
  }
}

Json property(const FieldSpec& field) {
  Json type = plain(field);
  const bool free_string =
      type.contains("type") && type["type"] == "string" && !type.contains("enum");
  Json out = free_string || field.is_kind ? std::move(type) : any_of({type, reference()});
  std::string help = field.help;
  if (!field.spec.unit.empty()) help += " [" + std::string(field.spec.unit) + "]";
  if (!field.spec.only.empty()) help += " (only for " + std::string(field.spec.only) + ")";
  out["description"] = help;
  if (!field.spec.required) out["default"] = to_json(field.default_of(0));
  return out;
}

Json section_schema(const SectionSpec& section) {
  Json properties = Json::object();
  for (const FieldSpec& field : section.fields) properties[field.key] = property(field);
  return {{"type", "object"},
          {"description", section.help},
          {"additionalProperties", false},
          {"properties", std::move(properties)}};
}

Json all_sections(const Language& language) {
  Json out = Json::object();
  for (const SectionSpec& section : language.sections)
    out[section.name] = {{"$ref", "#/definitions/" + section.name}};
  return out;
}

/// Specs by key: quoted ("tome.r" = ...) or as TOML's dotted keys, which are tables.
Json specs_schema(const Language& language, const char* help) {
  Json properties = Json::object();
  for (const SectionSpec& section : language.sections) {
    for (const FieldSpec& field : section.fields) {
      if (!field.spec.sweepable) continue;
      properties[field.dotted()] = {{"type", {"string", "array", "number", "boolean"}},
                                    {"description", field.help}};
    }
    properties[section.name] = {{"type", "object"}};
  }
  return {{"type", "object"},
          {"description", help},
          {"additionalProperties", false},
          {"properties", std::move(properties)}};
}

Json stage_schema(const Language& language) {
  Json out = section_schema(language.stage_keys);
  out["description"] = "a stage";
  out["properties"]["with"] = {{"type", "object"},
                               {"description", "sections laid on top for this stage alone"},
                               {"additionalProperties", false},
                               {"properties", all_sections(language)}};
  out["properties"]["each"] = {{"$ref", "#/definitions/specs"}};
  return out;
}

Json body(const Language& language) {
  Json properties = all_sections(language);
  properties["stages"] = {{"type", "object"},
                          {"additionalProperties", {{"$ref", "#/definitions/stage"}}}};
  properties["sweep"] = {{"$ref", "#/definitions/sweep"}};
  return properties;
}

}  // namespace

std::string json_schema(const Language& language) {
  Json definitions = Json::object();
  for (const SectionSpec& section : language.sections)
    definitions[section.name] = section_schema(section);
  definitions["specs"] = specs_schema(
      language, "values by key: 0:64:8, 1,2,3, lin:0:1:5, log:1e-5:1e-3:3, choice:a|b");
  definitions["stage"] = stage_schema(language);
  definitions["sweep"] = section_schema(language.sweep);
  definitions["sweep"]["properties"]["params"] = {{"$ref", "#/definitions/specs"}};
  Json variant = body(language);
  variant["help"] = {{"type", "string"}, {"description", "shown by `exp recipe variants`"}};
  definitions["variant"] = {
      {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(variant)}};

  Json properties = body(language);
  properties["extends"] = array_of({{"type", "string"}});
  properties["extends"]["description"] = "recipes that this one is laid on, left to right";
  properties["variants"] = {{"type", "object"},
                            {"additionalProperties", {{"$ref", "#/definitions/variant"}}}};
  const Json out = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                    {"title", "exp recipe"},
                    {"type", "object"},
                    {"additionalProperties", false},
                    {"properties", std::move(properties)},
                    {"definitions", std::move(definitions)}};
  return out.dump(2) + "\n";
}

}  // namespace xp::recipe
