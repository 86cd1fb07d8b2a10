// LibriSpeech (Panayotov et al. 2015) as SSAST's pretraining takes it: speech without labels, so
// every clip carries AudioSet's "Speech".
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "core/schema/split_folders.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;

Listing list_librispeech(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  listing.classes.push_back({"/m/09x0r", "Speech"});
  for (const std::string& part : folders_in(root)) {
    const std::string_view group = schema::librispeech_group(part);
    if (group.empty()) continue;
    const int16_t split = split_index(listing, part, group);
    for (const std::string& file : sound_files(root, part, true, &listing.left_out)) {
      Clip clip;
      clip.id = fs::path(file).stem().string();
      clip.split = split;
      clip.labels.push_back({0, 1.0F});
      clip.source = FileSource{(root / part / file).string()};
      listing.clips.push_back(std::move(clip));
    }
  }
  if (listing.splits.empty())
    fail_layout(options, fmt::format("{} holds no folder train-*, dev-* or test-*", root.string()));
  return listing;
}

}  // namespace xp::data
