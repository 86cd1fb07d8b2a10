#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/recipe/language.h"
#include "core/recipe/recipe.h"
#include "core/schema/stage_options.h"

/// Internal to core/schema: the parts of check_recipe.
namespace xp::schema {

/// One instance under check, and where its faults go.
class Rules {
 public:
  Rules(const recipe::Recipe& recipe, const recipe::Instance& instance, recipe::FaultSink& faults)
      : recipe_(recipe), instance_(instance), faults_(faults) {}

  const recipe::Recipe& recipe() const { return recipe_; }
  const recipe::Instance& instance() const { return instance_; }
  const recipe::View& view() const { return instance_.view; }
  /// A fault at the first of `keys` ("patchout.t", or "checkpoint" for a stage's own key) that a
  /// layer set.
  void fault(std::initializer_list<std::string_view> keys, const std::string& message) const;
  /// A fault at a value itself.
  void fault_at(const recipe::Value& value, const std::string& message) const;

 private:
  const recipe::Recipe& recipe_;
  const recipe::Instance& instance_;
  recipe::FaultSink& faults_;
};

/// "val" or "test" of a data set has clips, as far as the recipe can tell.
bool has_split(const DatasetOptions& dataset, Split split);

/// The split of a set whose splits are folders is one of them. For splits that the stage reads:
/// the others need not be there.
void check_split_is_there(const Rules& rules, const DatasetOptions& dataset, Split split);

void check_dataset(const Rules& rules, const DatasetOptions& dataset);
void check_frontend(const Rules& rules, const FrontendOptions& frontend);
/// The model against what it is fed.
void check_geometry(const Rules& rules, const ModelOptions& model, const FrontendOptions& frontend);
/// Weights and checkpoints: names that exist, made by the right kind of stage, fitting model,
/// frontend and classes.
void check_weights(const Rules& rules, const ModelOptions& model, const FrontendOptions& frontend);
void check_checkpoints(const Rules& rules, const recipe::Inputs& checkpoints, bool needs_classes,
                       const DatasetOptions& dataset);
void check_reference_kind(const Rules& rules, std::string_view key, const std::string& text,
                          std::initializer_list<std::string_view> kinds);

}  // namespace xp::schema
