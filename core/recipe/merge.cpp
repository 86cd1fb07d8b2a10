#include "core/recipe/merge.h"

namespace xp::recipe {
namespace {

/// The table at `key`, made when absent. The place is that of the first layer that has it.
Table& table_at(Table& into, const std::string& key, const Value& from) {
  const auto [found, fresh] = into.try_emplace(key, Value(Table{}));
  if (fresh) {
    found->second.spot = from.spot;
    found->second.key_spot = from.key_spot;
  }
  return *found->second.get<Table>();
}

void overlay(Table& into, const Table& from) {
  for (const auto& [key, value] : from) into[key] = value;
}

void merge_sections(const Language& language, Table& into, const Table& from) {
  for (const auto& [key, value] : from) {
    const SectionSpec* spec = language.find_section(key);
    if (spec != nullptr) merge_section(*spec, table_at(into, key, value), *value.get<Table>());
  }
}

void merge_stage(const Language& language, Table& into, const Table& from) {
  for (const auto& [key, value] : from) {
    if (key == "with") {
      merge_sections(language, table_at(into, key, value), *value.get<Table>());
    } else if (key == "each") {
      overlay(table_at(into, key, value), *value.get<Table>());
    } else {
      into[key] = value;
    }
  }
}

void merge_sweep(Table& into, const Table& from) {
  for (const auto& [key, value] : from) {
    if (key == "params") {
      overlay(table_at(into, key, value), *value.get<Table>());
    } else {
      into[key] = value;
    }
  }
}

}  // namespace

bool changes_kind(const SectionSpec& spec, const Section& into, const Section& from) {
  if (spec.kind_key.empty() || from.find(spec.kind_key) == from.end()) return false;
  const auto before = spec.kind_of(into);
  const auto after = spec.kind_of(from);
  return before && after && *before != *after;
}

void merge_section(const SectionSpec& spec, Section& into, const Section& from) {
  if (changes_kind(spec, into, from)) into.clear();
  overlay(into, from);
}

void overlay_leaves(Table& into, const Table& from) {
  for (const auto& [key, value] : from) {
    const auto [below, fresh] = into.try_emplace(key, value);
    if (fresh) continue;
    Table* table = below->second.get<Table>();
    const Table* above = value.get<Table>();
    if (table != nullptr && above != nullptr) {
      overlay_leaves(*table, *above);
    } else {
      below->second = value;
    }
  }
}

void merge_layer(const Language& language, Table& into, const Table& from) {
  merge_sections(language, into, from);
  if (const auto stages = from.find("stages"); stages != from.end()) {
    Table& all = table_at(into, "stages", stages->second);
    for (const auto& [name, stage] : *stages->second.get<Table>()) {
      merge_stage(language, table_at(all, name, stage), *stage.get<Table>());
    }
  }
  if (const auto sweep = from.find("sweep"); sweep != from.end()) {
    merge_sweep(table_at(into, "sweep", sweep->second), *sweep->second.get<Table>());
  }
}

}  // namespace xp::recipe
