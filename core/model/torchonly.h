#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/archive.h"
#include "core/schema/geometry.h"
#include "core/schema/model.h"

namespace xp::model {

/// What a file of TorchOnlyAST says of its model beside the tensors: `resolved_config`, the
/// arguments of every constructor.
struct TorchOnlyConfig {
  schema::ModelOptions model;
  schema::Geometry input;          ///< its n_bins by n_frames
  std::vector<std::string> notes;  ///< what it says and evaluation has no use for, a line each
};

/// nullopt for a file without it, or with the embedding's part alone. Arguments that it leaves out
/// have their constructors' defaults. Throws Error (kData) with the name of an argument that this
/// program does not compute, or does not know. `file` is for messages.
std::optional<TorchOnlyConfig> torchonly_config(const checkpoint::Archive& archive,
                                                const std::filesystem::path& file);

}  // namespace xp::model
