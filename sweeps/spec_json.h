#pragma once

#include <string>
#include <string_view>

#include "sweeps/table.h"

namespace xp::sweeps {

/// A spec without its files and environment, which have tables of their own.
std::string spec_to_json(const SweepSpec& spec);
/// Throws Error (kData) when the text is none.
SweepSpec spec_from_json(std::string_view text);

/// [0.25, 0.5] and back, exactly.
std::string place_to_json(const std::vector<double>& place);
std::vector<double> place_from_json(std::string_view text);

}  // namespace xp::sweeps
