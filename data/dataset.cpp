#include "data/dataset.h"

#include <map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace {

struct Set {
  std::string_view name;
  Listing (*list)(const schema::DatasetOptions&);
};

constexpr Set kSets[] = {
#define XP_DATASET(name, list) {#name, list},
#include "data/datasets.inc"
#undef XP_DATASET
};

constexpr std::pair<std::string_view, std::string_view> kLayouts[] = {
    {"audioset",
     "  ROOT/class_labels_indices.csv            index,mid,display_name\n"
     "  ROOT/PART_segments.csv                   # three header lines, then YTID, start, end, "
     "\"mid,mid\"\n"
     "  ROOT/audio/PART/ID.{wav,flac,ogg,mp3}    or YID.wav, in folders of any depth; ROOT/PART/ "
     "works too\n"
     "  PART: balanced_train, unbalanced_train, eval\n"},
    {"esc50",
     "  ROOT/meta/esc50.csv                      filename,fold,target,category,esc10\n"
     "  ROOT/audio/FOLD-CLIP-TAKE-TARGET.wav     or .ogg, .flac\n"},
    {"folder",
     "  ROOT/SPLIT/CLASS/*.wav                   SPLIT: train, val, test; or without splits:\n"
     "  ROOT/CLASS/*.wav                         80/10/10 % train/val/test by the hash of the "
     "name\n"},
    {"fsd50k",
     "  ROOT/FSD50K.ground_truth/{dev,eval,vocabulary}.csv    or ROOT/ground_truth/\n"
     "  ROOT/FSD50K.dev_audio/NAME.wav, ROOT/FSD50K.eval_audio/NAME.wav\n"},
    {"json",
     "  json_train, json_val, json_test          {\"data\": [{\"wav\": PATH, \"labels\": "
     "\"mid,mid\"}]}\n"
     "  labels                                   CSV: index,mid,display_name\n"},
    {"librispeech",
     "  ROOT/PART/SPEAKER/CHAPTER/*.flac         PART: train-clean-100, train-clean-360, "
     "train-other-500, dev-*, test-*\n"},
    {"openmic",
     "  ROOT/audio/NNN/KEY.ogg\n"
     "  ROOT/openmic-2018-aggregated-labels.csv  sample_key,instrument,relevance\n"
     "    (or ROOT/openmic-2018.npz              sample_key, Y_true, Y_mask)\n"
     "  ROOT/class-map.json                      {\"accordion\": 0, ...}\n"
     "  ROOT/partitions/split01_{train,test}.csv one key per line\n"},
    {"passt_hdf5",
     "  ROOT/PART_segments_mp3.hdf               audio_name, mp3 (bytes), target (packed bits); or "
     "ROOT/mp3/\n"
     "  ROOT/class_labels_indices.csv            or dataset.labels\n"},
    {"speechcommands",
     "  ROOT/WORD/SPEAKER_nohash_N.wav\n"
     "  ROOT/{validation,testing}_list.txt       WORD/SPEAKER_nohash_N.wav, one per line\n"
     "  ROOT/_background_noise_/*.wav            for words = \"core12\"\n"},
    {"synthetic", "  nothing: the clips are computed\n"},
};

void check_unique(const Listing& listing, std::string_view name) {
  std::vector<std::unordered_set<std::string_view>> seen(listing.splits.size() + 1);
  for (const Clip& clip : listing.clips) {
    if (!seen[static_cast<size_t>(clip.split + 1)].insert(clip.id).second) {
      throw Error(fmt::format("{}: the clip '{}' is listed twice in one split", name, clip.id),
                  Exit::kData);
    }
  }
}

}  // namespace

Listing list_dataset(const schema::DatasetOptions& options) {
  const std::string_view name = recipe::enum_name(options.name);
  for (const Set& set : kSets) {
    if (set.name != name) continue;
    Listing listing = set.list(options);
    for (Clip& clip : listing.clips) sort_labels(clip.labels);
    check_unique(listing, name);
    return listing;
  }
  XP_CHECK(false, fmt::format("data set {} is not in datasets.inc", name));
  return {};
}

JoinedListing list_joined(const schema::DatasetOptions& options) {
  JoinedListing joined;
  joined.sets.push_back(list_dataset(options));
  for (const schema::DatasetOptions& also : options.also) joined.sets.push_back(list_dataset(also));
  std::map<std::string, int32_t> number;
  for (Listing& listing : joined.sets) {
    std::vector<int32_t> moved;
    for (const ClassInfo& one : listing.classes) {
      const auto [at, fresh] = number.emplace(one.id, static_cast<int32_t>(joined.classes.size()));
      if (fresh) joined.classes.push_back(one);
      moved.push_back(at->second);
    }
    for (Clip& clip : listing.clips) {
      for (Label& label : clip.labels) label.index = moved[static_cast<size_t>(label.index)];
      for (int32_t& known : clip.known) known = moved[static_cast<size_t>(known)];
      sort_labels(clip.labels);
    }
  }
  return joined;
}

std::vector<std::string_view> dataset_names() {
  std::vector<std::string_view> names;
  for (const Set& set : kSets) names.push_back(set.name);
  return names;
}

std::string_view dataset_layout(std::string_view name) {
  for (const auto& [set, layout] : kLayouts) {
    if (set == name) return layout;
  }
  return {};
}

}  // namespace xp::data
