#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/recipe/language.h"
#include "core/recipe/recipe.h"
#include "core/recipe/source.h"

namespace xp::recipe {

/// A file, a variant of a file, or an override: what is laid on what lies below.
struct Layer {
  std::string label;  ///< "extends", "file", "variant tiny", "--set"
  Table tree;
  bool override = false;  ///< all of these are laid on together (State::overrides)
};

/// A stage before its instances are made.
struct StageText {
  std::string name;
  std::string kind;
  Value value;  ///< the merged table, for its place
  Section keys;
  std::map<std::string, Section, std::less<>> with;
  std::vector<std::pair<std::string, std::vector<Value>>> each;

  /// Whether the recipe's own section reaches the stage (`inherit`).
  bool inherits(std::string_view section) const;
};

struct Recipe::State {
  const Language* language = nullptr;
  std::filesystem::path path;
  LoadOptions applied;
  Sources sources;
  std::vector<std::filesystem::path> files;
  std::vector<Layer> layers;
  Table overrides;  ///< those of the command line as the one layer that they are
  Table merged;     ///< all layers, references not yet put in
  View base;        ///< expanded
  std::vector<StageText> texts;
  std::vector<Stage> stages;
  SweepSection sweep;
  std::vector<VariantInfo> variants;
  std::string name;
  std::string hash;

  const StageText* find_text(std::string_view stage) const;
  const StageKindSpec& kind_of(const Stage& stage) const {
    return *language->find_stage_kind(stage.kind);
  }
  /// nullopt when setting the key changes something, else why not. `unread_ok`: a key that no stage
  /// reads as the recipe stands (kd.lambda in a variant without distillation) is passed over.
  std::optional<std::string> why_unsettable(std::string_view key, std::string_view flag,
                                            bool unread_ok) const;
  /// The same for `stages.NAME.with.KEY`, on which the values of the stage's `each` lie.
  std::optional<std::string> why_each_outdoes(std::string_view key, std::string_view flag) const;
  /// Whether an instance reads a key of the recipe's own section (a carried section is not).
  bool reads(const Stage& stage, const Instance& instance, const FieldSpec& field) const;
  /// Whether the stage's `with`, `each` or `inherit` decides the key, so that the base cannot.
  bool pins(const Stage& stage, const FieldSpec& field) const;
};

/// The instances that a reference of `from` means (see Recipe::resolve).
std::vector<const Instance*> resolve_reference(const std::vector<Stage>& stages,
                                               const Reference& reference, const Instance& from);

std::string canonical_of(const Recipe::State& state);
std::string show_of(const Recipe::State& state);
std::vector<Setting> explain_key(const Recipe::State& state, std::string_view key);

}  // namespace xp::recipe
