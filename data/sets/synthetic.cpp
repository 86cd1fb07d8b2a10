// Sounds that are computed: no download, for the quickstart and for tests.
#include <algorithm>

#include <fmt/format.h>

#include "core/base/rng.h"
#include "core/schema/dataset.h"
#include "data/sets/sets.h"
#include "data/synthesis.h"

namespace xp::data {

Listing list_synthetic(const schema::DatasetOptions& options) {
  Listing listing;
  for (int32_t k = 0; k < options.classes; ++k) {
    const std::string name = synthetic_class_name(k);
    listing.classes.push_back({name, name});
  }
  listing.folds = true;
  for (int64_t i = 0; i < options.clips; ++i) {
    Clip clip;
    clip.id = fmt::format("synthetic-{:06}", i);
    // Classes in turn, then folds in turn: each fold of five has each class equally often.
    clip.fold = static_cast<int16_t>(i / options.classes % 5 + 1);
    Rng rng(0, "synthetic labels", 0, static_cast<uint64_t>(i));
    const auto count =
        1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(options.labels_per_clip)));
    clip.labels.push_back({static_cast<int32_t>(i % options.classes), 1.0F});
    while (static_cast<int64_t>(clip.labels.size()) < std::min(count, options.classes)) {
      clip.labels.push_back(
          {static_cast<int32_t>(rng.below(static_cast<uint64_t>(options.classes))), 1.0F});
      sort_labels(clip.labels);
    }
    SyntheticSource source{i, options.clip_s, {}};
    for (const Label& label : clip.labels) source.sounds.push_back(label.index);
    clip.source = source;
    listing.clips.push_back(std::move(clip));
  }
  return listing;
}

}  // namespace xp::data
