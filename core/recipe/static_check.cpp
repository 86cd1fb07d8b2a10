#include "core/recipe/static_check.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "core/recipe/sweep_spec.h"

namespace xp::recipe {
namespace {

void flatten_into(std::vector<std::pair<std::string, Value>>& out, const std::string& prefix,
                  const Table& table) {
  for (const auto& [key, value] : table) {
    const std::string dotted = prefix.empty() ? key : prefix + "." + key;
    if (const Table* inner = value.get<Table>()) {
      flatten_into(out, dotted, *inner);
    } else {
      out.emplace_back(dotted, value);
    }
  }
}

bool stage_name_ok(const std::string& name) {
  if (name.empty() || name.size() > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

/// Calls `keep(key, value)` for each entry and erases those for which it is false.
template <class Keep>
void filter(Table& table, Keep&& keep) {
  for (auto it = table.begin(); it != table.end();) {
    it = keep(it->first, it->second) ? std::next(it) : table.erase(it);
  }
}

}  // namespace

std::vector<std::pair<std::string, Value>> flatten(const Table& table) {
  std::vector<std::pair<std::string, Value>> out;
  flatten_into(out, "", table);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    const Spot& x = a.second.key_spot;
    const Spot& y = b.second.key_spot;
    return std::tie(x.source, x.line, x.column) < std::tie(y.source, y.line, y.column);
  });
  return out;
}

void StaticCheck::document(Table& tree) {
  if (const auto found = tree.find("variants"); found != tree.end()) variants(found->second);
  Table variants_tree;
  const auto found = tree.find("variants");
  if (found != tree.end()) variants_tree["variants"] = std::move(found->second);
  if (found != tree.end()) tree.erase(found);
  body(tree, false);
  tree.merge(variants_tree);
}

void StaticCheck::variants(Value& value) {
  Table* table = value.get<Table>();
  if (table == nullptr) {
    faults_.add(value.spot,
                "expected [variants.NAME] tables, received " + std::string(type_name(value)));
    value.data = Table{};
    return;
  }
  filter(*table, [this](const std::string& name, Value& variant) {
    if (faults_.full()) return false;
    if (Table* inner = variant.get<Table>()) {
      body(*inner, true);
      return true;
    }
    faults_.add(variant.spot, fmt::format("variant '{}': expected a table, received {}", name,
                                          type_name(variant)));
    return false;
  });
}

void StaticCheck::body(Table& tree, bool variant) {
  filter(tree, [&](const std::string& key, Value& value) {
    if (faults_.full()) return false;
    if (key == "stages") {
      stages(value);
      return true;
    }
    if (key == "sweep") {
      sweep(value);
      return true;
    }
    if (variant && key == "help") {
      if (value.get<std::string>() != nullptr) return true;
      faults_.add(value.spot, "help: expected a string, received " + std::string(type_name(value)));
      return false;
    }
    if (const SectionSpec* spec = language_.find_section(key)) {
      section(*spec, value, "[" + key + "]");
      return value.get<Table>() != nullptr;
    }
    std::vector<std::string> names = language_.section_names();
    names.insert(names.end(), {"stages", "sweep"});
    if (!variant) names.insert(names.end(), {"variants", "extends"});
    const std::string near = nearest(key, names);
    if (value.get<Table>() != nullptr) {
      faults_.add(value.key_spot,
                  fmt::format("unknown section [{}]{}", key,
                              near.empty() ? "" : fmt::format("; did you mean [{}]?", near)));
    } else if (variant && key == "extends") {
      faults_.add(value.key_spot,
                  "a variant cannot extend a file: extends stands at the top of a recipe");
    } else {
      faults_.add(value.key_spot,
                  fmt::format("unknown key '{}' outside a section{}", key, did_you_mean(near)));
    }
    return false;
  });
}

void StaticCheck::unknown_key(const SectionSpec& spec, const std::string& key, const Value& value,
                              const std::string& where) {
  std::string near = nearest(key, spec.keys());
  if (near.empty()) {
    for (const SectionSpec& other : language_.sections) {
      if (other.find(key) != nullptr) {
        near = other.name + "." + key;
        break;
      }
    }
  }
  faults_.add(value.key_spot,
              fmt::format("unknown key '{}' in {}{}", key, where, did_you_mean(near)));
}

void StaticCheck::section(const SectionSpec& spec, Value& value, const std::string& where) {
  Table* table = value.get<Table>();
  if (table == nullptr) {
    faults_.add(value.spot,
                fmt::format("{}: expected a table, received {}", where, type_name(value)));
    poisoned_.insert(spec.name);
    return;
  }
  filter(*table, [&](const std::string& key, Value& item) {
    if (faults_.full()) return false;
    const FieldSpec* field = spec.find(key);
    if (field == nullptr) {
      unknown_key(spec, key, item, where);
      poisoned_.insert(spec.name);
      return false;
    }
    std::optional<std::string> fault = field->fault(item, false);
    const std::string* text = item.get<std::string>();
    if (!fault && field->is_kind && text != nullptr && text->find("${") != std::string::npos) {
      fault = "expected " + field->expects() + "; a reference cannot choose the kind of a section";
    }
    if (fault) {
      faults_.add(item.spot, fmt::format("{}.{}: {}", spec.name, key, *fault));
      poisoned_.insert(spec.name);
      return false;
    }
    if (field->leaf == Leaf::kSections) {
      for (Value& inner : *item.get<Array>())
        section(spec, inner, fmt::format("an item of {}.{}", spec.name, key));
    }
    return true;
  });
}

void StaticCheck::stages(Value& value) {
  Table* table = value.get<Table>();
  if (table == nullptr) {
    faults_.add(value.spot,
                "expected [stages.NAME] tables, received " + std::string(type_name(value)));
    value.data = Table{};
    return;
  }
  filter(*table, [this](const std::string& name, Value& item) {
    if (faults_.full()) return false;
    Table* inner = item.get<Table>();
    if (inner == nullptr) {
      faults_.add(item.spot,
                  fmt::format("stages.{}: expected a table, received {}", name, type_name(item)));
      return false;
    }
    if (!stage_name_ok(name)) {
      faults_.add(item.key_spot,
                  fmt::format("stage name {}: up to 64 letters, digits, '_' and '-' make a name",
                              quote(name)));
      return false;
    }
    const SectionSpec* section = language_.find_section(name);
    if (section != nullptr && section->find("lr") != nullptr) {
      faults_.add(item.key_spot,
                  fmt::format("stage name {0}: its metric {1}.lr would read as the key {1}.lr; "
                              "choose another name",
                              quote(name), name));
      return false;
    }
    stage(name, *inner);
    return true;
  });
}

void StaticCheck::stage(const std::string& name, Table& stage) {
  filter(stage, [&](const std::string& key, Value& value) {
    if (key == "with") {
      with(name, value);
      return value.get<Table>() != nullptr;
    }
    if (key == "each") {
      each(value);
      return value.get<Table>() != nullptr;
    }
    const FieldSpec* field = language_.stage_keys.find(key);
    if (field == nullptr) {
      std::vector<std::string> names = language_.stage_keys.keys();
      names.insert(names.end(), {"with", "each"});
      std::string near = nearest(key, names);
      if (language_.find_section(key) != nullptr) near = "with." + key;
      faults_.add(value.key_spot,
                  fmt::format("unknown key '{}' in [stages.{}]{}", key, name, did_you_mean(near)));
      poisoned_.insert("stages." + name);
      return false;
    }
    if (const auto fault = field->fault(value, false)) {
      faults_.add(value.spot, fmt::format("stages.{}.{}: {}", name, key, *fault));
      poisoned_.insert("stages." + name);
      return false;
    }
    return true;
  });
}

void StaticCheck::with(const std::string& stage, Value& value) {
  Table* table = value.get<Table>();
  if (table == nullptr) {
    faults_.add(value.spot, fmt::format("stages.{}.with: expected a table, received {}", stage,
                                        type_name(value)));
    return;
  }
  filter(*table, [&](const std::string& key, Value& item) {
    if (faults_.full()) return false;
    if (const SectionSpec* spec = language_.find_section(key)) {
      section(*spec, item, fmt::format("[stages.{}.with.{}]", stage, key));
      return item.get<Table>() != nullptr;
    }
    const std::string near = nearest(key, language_.section_names());
    faults_.add(item.key_spot, fmt::format("unknown section '{}' in [stages.{}.with]{}", key, stage,
                                           did_you_mean(near)));
    return false;
  });
}

void StaticCheck::each(Value& value) {
  if (value.get<Table>() == nullptr) {
    faults_.add(value.spot, "each: expected a table of \"section.key\" = spec, received " +
                                std::string(type_name(value)));
    return;
  }
  specs(value, "each");
}

void StaticCheck::specs(Value& value, const std::string& where) {
  Table kept;
  for (auto& [key, item] : flatten(*value.get<Table>())) {
    if (faults_.full() || spec_values_ > kMaxSpecValues) break;
    const FieldSpec* field = language_.find_key(key);
    if (field == nullptr) {
      faults_.add(item.key_spot,
                  fmt::format("unknown key '{}' in {}{}", key, where, language_.hint_for(key)));
      poisoned_.insert(where);
      continue;
    }
    try {
      const SweepSpec spec =
          parse_sweep_value(item, *field, where == "each" ? kMaxInstances : kMaxSweepValues);
      if (where == "each" && spec.is_range())
        throw Error("each needs values, not a range to draw from");
      spec_values_ += spec.values.size();
      if (spec_values_ > kMaxSpecValues)
        throw Error(
            fmt::format("the specs of this recipe have more than {} values", kMaxSpecValues));
      kept.emplace(key, std::move(item));
    } catch (const Error& error) {
      faults_.add(item.spot, fmt::format("{} \"{}\": {}", where, key, error.message()));
      poisoned_.insert(where);
    }
  }
  value.data = std::move(kept);
}

void StaticCheck::sweep(Value& value) {
  Table* table = value.get<Table>();
  if (table == nullptr) {
    faults_.add(value.spot, "[sweep]: expected a table, received " + std::string(type_name(value)));
    value.data = Table{};
    return;
  }
  std::optional<Value> params;
  if (const auto found = table->find("params"); found != table->end()) {
    params = std::move(found->second);
    table->erase(found);
    if (params->get<Table>() == nullptr) {
      faults_.add(params->spot,
                  "sweep.params: expected a table of \"section.key\" = spec, received " +
                      std::string(type_name(*params)));
      params.reset();
    } else {
      specs(*params, "sweep.params");
    }
  }
  section(language_.sweep, value, "[sweep]");
  if (params) (*table)["params"] = std::move(*params);
}

}  // namespace xp::recipe
