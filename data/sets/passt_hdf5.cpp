// PaSST's containers: an HDF5 file per part with the mp3 files themselves, their names and packed
// label bits.
#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "core/schema/split_folders.h"
#include "data/hdf5.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

/// "PP/Yabcdefghijk.mp3" -> "abcdefghijk": the name that teacher files use.
std::string id_of(const std::string& name) {
  std::string stem = fs::path(name).stem().string();
  return stem.starts_with('Y') && stem.size() == 12 ? stem.substr(1) : stem;
}

/// numpy.packbits: most significant bit first.
void unpack_bits(std::span<const uint8_t> bits, size_t classes, std::vector<Label>& labels) {
  for (size_t k = 0; k < classes; ++k) {
    if ((bits[k / 8] >> (7U - k % 8) & 1U) != 0) labels.push_back({static_cast<int32_t>(k), 1.0F});
  }
}

void list_part(const fs::path& file, int16_t split, Listing& listing) {
  const h5::File in = h5::File::open(file);
  const std::vector<std::string> names = in.read_strings("audio_name");
  const auto rows = in.shape("mp3");
  const auto shape = in.shape("target");
  const auto width = shape.size() == 2 ? shape[1] : 0;
  const size_t classes = listing.classes.size();
  if (rows.size() != 1 || rows[0] != names.size() || shape.size() != 2 ||
      shape[0] != names.size()) {
    throw Error(Place{file.string()}, "audio_name, mp3 and target have different numbers of rows",
                Exit::kData);
  }
  if (width != (classes + 7) / 8) {
    throw Error(Place{file.string()},
                fmt::format("target has {} bytes a row; {} classes of the label file need {}",
                            width, classes, (classes + 7) / 8),
                Exit::kData);
  }
  const auto target = in.read<uint8_t>("target");
  for (size_t i = 0; i < names.size(); ++i) {
    Clip clip;
    clip.id = id_of(names[i]);
    clip.split = split;
    unpack_bits(std::span(target).subspan(i * width, width), classes, clip.labels);
    clip.source = BlobSource{file.string(), "mp3", static_cast<int64_t>(i)};
    listing.clips.push_back(std::move(clip));
  }
}

}  // namespace

Listing list_passt_hdf5(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  listing.classes = classes_of(options, root / "class_labels_indices.csv", listing);
  std::vector<std::string> parts = options.parts;
  const bool eval_wanted = std::find(parts.begin(), parts.end(), "eval") != parts.end();
  if (!eval_wanted) parts.emplace_back("eval");
  for (const std::string& part : parts) {
    const fs::path file = schema::passt_container(root, part);
    if (file.empty()) {
      if (part == "eval" && !eval_wanted) continue;
      fail_layout(options, fmt::format("there is no file {}",
                                       (root / (part + "_segments_mp3.hdf")).string()));
    }
    listing.files.push_back(file.string());
    list_part(file,
              split_index(listing, part,
                          part.starts_with("eval") ? "test"
                          : part == "val"          ? "val"
                                                   : "train"),
              listing);
  }
  return listing;
}

}  // namespace xp::data
