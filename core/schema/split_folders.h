#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema/dataset.h"

/// Which splits of a data set there are, by its folders and lists, without a look at a sound.
namespace xp::schema {

/// "train", "val" or "test" for the name of a folder that is a split of a `folder` set; "" for
/// that of a class.
std::string_view split_group(std::string_view folder);

/// The same for LibriSpeech's "train-clean-100", "dev-clean", ..
std::string_view librispeech_group(std::string_view folder);

/// The list of a part of AudioSet; empty when there is none.
std::filesystem::path audioset_list(const std::filesystem::path& root, const std::string& part);
/// The HDF5 file of a part in PaSST's form; empty when there is none.
std::filesystem::path passt_container(const std::filesystem::path& root, const std::string& part);

/// Names that the splits of a set go by: of its folders or parts, and "train", "val", "test" of
/// those that play them. nullopt where they do not say: a set whose splits are in lists that it
/// always has, no root, splits beside classes.
std::optional<std::vector<std::string>> folder_splits(const DatasetOptions& dataset);

}  // namespace xp::schema
