// A folder per class: ROOT/SPLIT/CLASS/files, or ROOT/CLASS/files.
#include <algorithm>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

/// The group of a folder that is a split, or "".
std::string_view split_group(std::string_view name) {
  if (name == "train" || name == "training") return "train";
  if (name == "val" || name == "valid" || name == "validation" || name == "dev") return "val";
  if (name == "test" || name == "testing" || name == "eval") return "test";
  return {};
}

/// 80/10/10 by the hash of the path: adding files moves no other file.
int16_t split_of_path(const std::string& path) {
  const uint64_t tenth = checksum64(std::as_bytes(std::span(path))) % 10;
  return static_cast<int16_t>(tenth == 9 ? 2 : tenth == 8 ? 1 : 0);
}

}  // namespace

Listing list_folder(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  std::vector<std::string> splits = folders_in(root);
  if (splits.empty()) fail_layout(options, fmt::format("{} holds no folder", root.string()));
  const bool with_splits = std::all_of(splits.begin(), splits.end(),
                                       [](const auto& name) { return !split_group(name).empty(); });
  if (!with_splits) {
    splits = {""};
    for (const char* name : {"train", "val", "test"}) split_index(listing, name, name);
  }

  std::vector<std::string> names;
  for (const std::string& split : splits) {
    for (std::string& name : folders_in(root / split)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (options.labels.empty()) {
    for (const std::string& name : names) listing.classes.push_back({name, name});
  } else {
    listing.classes = classes_of(options, {}, listing);
  }
  // A label file may name the folders by id or by display name.
  auto number = index_by_id(listing.classes);
  for (size_t i = 0; i < listing.classes.size(); ++i)
    number.emplace(listing.classes[i].name, static_cast<int32_t>(i));

  for (const std::string& split : splits) {
    const int16_t own = with_splits ? split_index(listing, split, split_group(split)) : int16_t{0};
    for (const std::string& name : folders_in(root / split)) {
      const auto found = number.find(name);
      if (found == number.end()) {
        throw Error(fmt::format("{}: the folder's name is not in the class list {}",
                                (root / split / name).string(), options.labels),
                    Exit::kData);
      }
      for (const std::string& file : sound_files(root / split / name, true)) {
        Clip clip;
        clip.id = name + "/" + file;
        clip.split = with_splits ? own : split_of_path(clip.id);
        clip.labels.push_back({found->second, 1.0F});
        clip.source = FileSource{(root / split / name / file).string()};
        listing.clips.push_back(std::move(clip));
      }
    }
  }
  return listing;
}

}  // namespace xp::data
