#pragma once

#include <set>
#include <string>

#include "core/recipe/state.h"

namespace xp::recipe {

/// Makes `state.stages` of `state.texts`: the instances of `each`, their views with `with` on top,
/// and what their checkpoints carry. Adds faults: missing `do`, keys that a kind of stage or of
/// section lacks, sections that no stage reads, required keys that are missing, references to
/// stages that are not there or go round in a circle.
void make_stages(Recipe::State& state, Faults& faults, const std::set<std::string>& poisoned);

}  // namespace xp::recipe
