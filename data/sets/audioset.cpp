// AudioSet (Gemmeke et al. 2017): segment lists over YouTube clips of 10 s, 527 classes. A file
// holds exactly its segment. Copies differ in what they call it, and no copy is complete.
#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "core/schema/split_folders.h"
#include "data/sets/segments.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

constexpr size_t kIdLetters = 11;

/// "ID", "YID", "ID_30", "YID_30.000_40.000" -> ID; empty when the stem is something else.
std::string id_of_stem(std::string_view stem) {
  const auto fits = [](std::string_view text) {
    if (text.size() < kIdLetters) return false;
    const std::string_view rest = text.substr(kIdLetters);
    return rest.empty() || (rest[0] == '_' && rest.size() > 1 &&
                            rest.find_first_not_of("0123456789._") == std::string_view::npos);
  };
  if (fits(stem)) return std::string(stem.substr(0, kIdLetters));
  if (stem.starts_with('Y') && fits(stem.substr(1))) return std::string(stem.substr(1, kIdLetters));
  return {};
}

/// Sound files of a part by id: one walk over the folder, because asking for 2 million names in
/// four formats and two spellings is slow on a network disk.
std::unordered_map<std::string, std::string> files_by_id(const fs::path& root,
                                                         const std::string& part,
                                                         LeftOut& left_out) {
  std::unordered_map<std::string, std::string> found;
  const std::array<std::string, 4> folders = {"audio/" + part, "audio/" + part + "_segments", part,
                                              part + "_segments"};
  for (const std::string& folder : folders) {
    std::error_code ignored;
    if (!fs::is_directory(root / folder, ignored)) continue;
    for (const std::string& name : sound_files(root, folder, true, &left_out)) {
      std::string id = id_of_stem(fs::path(name).stem().string());
      if (!id.empty()) found.emplace(std::move(id), (root / folder / name).string());
    }
  }
  return found;
}

}  // namespace

Listing list_audioset(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  listing.classes = classes_of(options, root / "class_labels_indices.csv", listing);
  const auto number = index_by_id(listing.classes);

  // The evaluation part is always prepared where it is there: whether it is used is decided later.
  std::vector<std::string> parts = options.parts;
  if (std::find(parts.begin(), parts.end(), "eval") == parts.end()) parts.emplace_back("eval");
  for (const std::string& part : parts) {
    const fs::path list = schema::audioset_list(root, part);
    if (list.empty()) {
      if (part == "eval" &&
          std::find(options.parts.begin(), options.parts.end(), "eval") == options.parts.end())
        continue;
      fail_layout(options, fmt::format("there is no segment list {}",
                                       (root / (part + "_segments.csv")).string()));
    }
    listing.files.push_back(list.string());
    const int16_t split = split_index(listing, part, part.starts_with("eval") ? "test" : "train");
    const auto files = files_by_id(root, part, listing.left_out);
    for (const Segment& segment : read_segments(list)) {
      Clip clip;
      clip.id = segment.id;
      clip.split = split;
      for (const std::string& mid : segment.mids) {
        const auto found = number.find(mid);
        if (found == number.end()) {
          Place place;
          place.file = list.string();
          place.line = segment.line;
          throw Error(place, fmt::format("label '{}' is not in the class list", mid), Exit::kData);
        }
        clip.labels.push_back({found->second, 1.0F});
      }
      const auto file = files.find(segment.id);
      if (file == files.end()) {
        listing.absent.push_back({clip.id, part, "no sound file"});
        continue;
      }
      clip.source = FileSource{file->second};
      listing.clips.push_back(std::move(clip));
    }
  }
  return listing;
}

}  // namespace xp::data
