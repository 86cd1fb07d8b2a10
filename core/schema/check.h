#pragma once

#include "core/recipe/language.h"
#include "core/recipe/recipe.h"

/// The rules that span keys, sections and stages; each has a passing and a failing recipe in
/// tests/schema. Run by load_recipe, before anything else is done with a recipe. None of them opens
/// audio.
namespace xp::schema {

/// Adds one fault for each rule that a stage breaks. Stages in which another fault was found are
/// passed over.
void check_recipe(const recipe::Recipe& recipe, recipe::FaultSink& faults);

}  // namespace xp::schema
