#pragma once

#include <filesystem>
#include <optional>

#include "core/checkpoint/archive.h"
#include "core/load/weights_file.h"

namespace xp::load {

/// What the config.json and preprocessor_config.json beside a file of transformers' AST say: sizes,
/// strides, bins, length, activation, epsilon of all normalisations, labels, and the normalisation
/// of the input. nullopt where the names are not transformers' or no config.json lies there. Throws
/// Error (kData) naming the entry that is no AST's, or that this program does not compute.
std::optional<Carried> transformers_config(const checkpoint::Archive& archive,
                                           const std::filesystem::path& file);

}  // namespace xp::load
