#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/recipe/recipe.h"

namespace xp::schema {

/// Why no run of the recipe can have `metric` ("eval.mAP"): it has no such stage, or its kind of
/// stage gives no metric of that name (docs/metrics.md). nullopt where it may, also where that
/// depends on options (eval.metrics, eval.bench).
std::optional<std::string> why_no_metric(const recipe::Recipe& recipe, std::string_view metric);

}  // namespace xp::schema
