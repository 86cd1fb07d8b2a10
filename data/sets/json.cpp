// Data sets in the form of AST's recipes: a data JSON per split and one label CSV.
#include <array>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/sets/ast_json.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

/// A relative path is taken from dataset.root where that is set, else from the folder of the JSON.
fs::path sound_path(const schema::DatasetOptions& options, const fs::path& list,
                    const std::string& wav) {
  fs::path path = expand_user(wav);
  if (path.is_absolute()) return path;
  return (options.root.empty() ? list.parent_path() : expand_user(options.root)) / path;
}

/// Short ids where they stay apart: the file's stem, without the Y that AudioSet copies put in
/// front, or else the path as it is listed.
std::string short_id(const std::string& wav) {
  std::string stem = fs::path(wav).stem().string();
  return stem.size() == 12 && stem[0] == 'Y' ? stem.substr(1) : stem;
}

}  // namespace

Listing list_json(const schema::DatasetOptions& options) {
  if (options.labels.empty())
    fail_layout(options, "dataset.labels is not set; name = \"json\" needs a label CSV");
  Listing listing;
  listing.classes = classes_of(options, {}, listing);
  const auto number = index_by_id(listing.classes);
  const std::array<std::pair<const char*, const std::string*>, 3> lists = {
      {{"train", &options.json_train}, {"val", &options.json_val}, {"test", &options.json_test}}};
  bool any = false;
  for (const auto& [split, name] : lists) {
    if (name->empty()) continue;
    any = true;
    const fs::path list = require_file(options, expand_user(*name));
    listing.files.push_back(list.string());
    const int16_t index = split_index(listing, split, split);
    const std::vector<AstEntry> entries = read_ast_json(list);
    std::unordered_set<std::string> ids;
    for (const AstEntry& entry : entries) ids.insert(short_id(entry.wav));
    const bool short_ids = ids.size() == entries.size();
    for (const AstEntry& entry : entries) {
      Clip clip;
      clip.id = short_ids ? short_id(entry.wav) : entry.wav;
      clip.split = index;
      for (const std::string& mid : entry.labels) {
        const auto found = number.find(mid);
        if (found == number.end()) {
          throw Error(Place{list.string()},
                      fmt::format("'{}': label '{}' is not in {}", entry.wav, mid, options.labels),
                      Exit::kData);
        }
        clip.labels.push_back({found->second, 1.0F});
      }
      const fs::path sound = sound_path(options, list, entry.wav);
      std::error_code ignored;
      if (!fs::exists(sound, ignored)) {
        listing.absent.push_back({clip.id, split, fmt::format("no file {}", sound.string())});
        continue;
      }
      clip.source = FileSource{sound.string()};
      listing.clips.push_back(std::move(clip));
    }
  }
  if (!any) fail_layout(options, "none of dataset.json_train, json_val and json_test is set");
  return listing;
}

}  // namespace xp::data
