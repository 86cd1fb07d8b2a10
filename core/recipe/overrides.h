#pragma once

#include <optional>

#include "core/recipe/state.h"

namespace xp::recipe {

/// The text of a `--set` as a value of `field`: as it is for strings, else TOML. Throws Error, with
/// `key`, when it is none.
Value override_value(const FieldSpec& field, const std::string& key, const std::string& text,
                     int source);

/// One `--set` as a layer with a single leaf, whose place is the argument itself. nullopt after a
/// fault was added: an unknown key or stage, or text that is no TOML value where one is needed.
std::optional<Layer> override_layer(const Language& language, const Override& override,
                                    const Table& merged, Sources& sources, Faults& faults);

}  // namespace xp::recipe
