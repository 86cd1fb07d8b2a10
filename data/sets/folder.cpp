// A folder per class: ROOT/SPLIT/CLASS/files, or ROOT/CLASS/files.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "core/schema/sound_files.h"
#include "core/schema/split_folders.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

/// 80/10/10 by the hash of the path: adding files moves no other file.
int16_t split_of_path(const std::string& path) {
  const uint64_t tenth = checksum64(std::as_bytes(std::span(path))) % 10;
  return static_cast<int16_t>(tenth == 9 ? 2 : tenth == 8 ? 1 : 0);
}

/// A folder of the root and its files, as paths below it.
struct Top {
  std::string name;
  FolderFiles files;
};

bool is_split(const Top& top) { return !schema::split_group(top.name).empty(); }

bool holds_classes_alone(const Top& top) {
  return std::all_of(top.files.sounds.begin(), top.files.sounds.end(),
                     [](const std::string& sound) { return sound.find('/') != std::string::npos; });
}

/// Whether the folders of the root are splits. Splits beside other folders would silently become
/// classes with the classes that they hold: an error. A class that is called "train" is none.
bool are_splits(const schema::DatasetOptions& options, const std::vector<Top>& tops) {
  std::string others;
  for (const Top& top : tops) {
    if (!is_split(top)) others += (others.empty() ? "" : ", ") + top.name;
  }
  if (others.empty()) return true;
  for (const Top& top : tops) {
    if (is_split(top) && holds_classes_alone(top)) {
      fail_layout(options, fmt::format("{}: {} is a split with folders of classes, but there are "
                                       "sounds in folders beside it that are no splits: {}",
                                       options.root, top.name, others));
    }
  }
  return false;
}

/// A class and its sounds, as paths below its folder.
using Classes = std::map<std::string, std::vector<std::string>>;

Classes by_class(const std::vector<std::string>& files) {
  Classes classes;
  for (const std::string& file : files) {
    const size_t slash = file.find('/');
    if (slash != std::string::npos)
      classes[file.substr(0, slash)].push_back(file.substr(slash + 1));
  }
  return classes;
}

/// A class that would be lost without a word, since no file of its folder is sound by its ending.
[[noreturn]] void fail_without_sound(const fs::path& folder,
                                     const std::vector<std::string>& others) {
  LeftOut count;
  count_left_out(others, count);
  throw Error(fmt::format("{} holds no sound by the endings of its files ({}; first: {}): convert "
                          "them, with ffmpeg for example, or move the folder out of the set",
                          folder.string(), schema::endings_text(count), others.front()),
              Exit::kData);
}

bool is_foreign(const std::string& file) {
  return schema::kind_of_file(file) == schema::FileKind::kForeignSound;
}

/// The folders of the root that are part of the set: those with sounds. One with sounds of formats
/// that are not read would be a class or a split; one with anything else is none.
std::vector<Top> tops_of(const fs::path& root, LeftOut& left_out) {
  std::vector<Top> tops;
  for (const std::string& name : folders_in(root)) {
    Top top{name, files_in(root, name, true)};
    count_left_out(top.files.others, left_out);
    if (!top.files.sounds.empty()) {
      tops.push_back(std::move(top));
    } else if (std::any_of(top.files.others.begin(), top.files.others.end(), is_foreign)) {
      fail_without_sound(root / name, top.files.others);
    }
  }
  return tops;
}

/// The classes of each split; the one split is called "" where the set has none.
std::map<std::string, Classes> read_tree(const schema::DatasetOptions& options,
                                         const fs::path& root, LeftOut& left_out) {
  std::vector<Top> tops = tops_of(root, left_out);
  const bool with_splits = are_splits(options, tops);
  std::map<std::string, Classes> tree;
  for (Top& top : tops) {
    if (!with_splits) {
      tree[""].emplace(top.name, std::move(top.files.sounds));
      continue;
    }
    Classes classes = by_class(top.files.sounds);
    for (const auto& [name, others] : by_class(top.files.others)) {
      if (classes.count(name) == 0) fail_without_sound(root / top.name / name, others);
    }
    if (!classes.empty()) tree.emplace(top.name, std::move(classes));
  }
  if (tree.empty())
    fail_layout(options, fmt::format("{} holds no sound in a folder of a class", root.string()));
  return tree;
}

/// Numbers of the classes by the names of their folders; a label file may have them as ids or as
/// display names.
std::map<std::string, int32_t, std::less<>> numbers(const std::vector<ClassInfo>& classes) {
  auto number = index_by_id(classes);
  for (size_t i = 0; i < classes.size(); ++i)
    number.emplace(classes[i].name, static_cast<int32_t>(i));
  return number;
}

}  // namespace

Listing list_folder(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  const std::map<std::string, Classes> tree = read_tree(options, root, listing.left_out);
  if (options.labels.empty()) {
    std::set<std::string> names;
    for (const auto& [split, classes] : tree) {
      for (const auto& [name, files] : classes) names.insert(name);
    }
    for (const std::string& name : names) listing.classes.push_back({name, name});
  } else {
    listing.classes = classes_of(options, {}, listing);
  }
  const auto number = numbers(listing.classes);
  const bool with_splits = tree.count("") == 0;
  if (!with_splits) {
    for (const char* name : {"train", "val", "test"}) split_index(listing, name, name);
  }
  for (const auto& [split, classes] : tree) {
    const int16_t own =
        with_splits ? split_index(listing, split, schema::split_group(split)) : int16_t{0};
    for (const auto& [name, files] : classes) {
      const auto found = number.find(name);
      if (found == number.end()) {
        throw Error(fmt::format("{}: the folder's name is not in the class list {}",
                                (root / split / name).string(), options.labels),
                    Exit::kData);
      }
      for (const std::string& file : files) {
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
