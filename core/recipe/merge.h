#pragma once

#include "core/recipe/language.h"

namespace xp::recipe {

/// Lays a section on top of another. Where `from` has another kind than `into`, the other keys of
/// `into` go first: they belonged to the old kind.
void merge_section(const SectionSpec& spec, Section& into, const Section& from);

/// True when `from` changes the section's kind away from that of `into`.
bool changes_kind(const SectionSpec& spec, const Section& into, const Section& from);

/// Lays leaf on leaf, whatever the kinds: what makes one layer of several overrides.
void overlay_leaves(Table& into, const Table& from);

/// Lays a file, a variant or the overrides (sections, stages, sweep) on top of `into`.
void merge_layer(const Language& language, Table& into, const Table& from);

}  // namespace xp::recipe
