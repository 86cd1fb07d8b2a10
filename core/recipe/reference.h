#pragma once

#include <string>

#include "core/recipe/language.h"

namespace xp::recipe {

/// JSON Schema (draft-07) of a recipe, for editors: types, ranges, names, defaults and help of
/// every key. A string with "${" in it may stand anywhere. Rules that span keys are `exp recipe
/// check`'s.
std::string json_schema(const Language& language);

/// docs/recipe_reference.md: every section, key and stage kind.
std::string reference_markdown(const Language& language);

}  // namespace xp::recipe
