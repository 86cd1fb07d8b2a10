#pragma once

#include <filesystem>

#include "core/recipe/recipe.h"

namespace xp::schema {

/// The language of exp's recipes: every section and stage kind of core/schema. Built once.
const recipe::Language& language();

/// Reads a recipe in exp's language and applies the cross-field rules (check.h). Throws
/// recipe::RecipeError with every fault.
recipe::Recipe load_recipe(const std::filesystem::path& path,
                           const recipe::LoadOptions& options = {});

}  // namespace xp::schema
