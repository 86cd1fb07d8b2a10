#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema/dataset.h"

/// Data sets whose splits are folders: which there are, without a look at a sound.
namespace xp::schema {

/// "train", "val" or "test" for the name of a folder that is a split of a `folder` set; "" for
/// that of a class.
std::string_view split_group(std::string_view folder);

/// The same for LibriSpeech's "train-clean-100", "dev-clean", ..
std::string_view librispeech_group(std::string_view folder);

/// Names that the splits of a set go by: of its folders, and "train", "val", "test" of those that
/// play them. nullopt where the folders do not say: another set, no root, splits beside classes.
std::optional<std::vector<std::string>> folder_splits(const DatasetOptions& dataset);

}  // namespace xp::schema
