// OpenMIC-2018 (Humphrey et al. 2018): 20 instruments; a clip is judged on some of them only, so
// labels come with a mask. They are in a table of aggregated labels and, the relevance as Y_true
// and what was judged as Y_mask, in openmic-2018.npz.
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/csv.h"
#include "data/npz.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

std::vector<ClassInfo> read_class_map(const fs::path& file) {
  std::map<int64_t, std::string> names;
  try {
    const std::string text = read_file(file);
    const auto map = nlohmann::json::parse(utf8_text(file.string(), text));
    for (const auto& [name, index] : map.items()) names.emplace(index.get<int64_t>(), name);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Place{file.string()}, fmt::format("broken: {}", error.what()), Exit::kData);
  }
  std::vector<ClassInfo> classes;
  for (const auto& [index, name] : names) {
    if (index != static_cast<int64_t>(classes.size())) {
      throw Error(Place{file.string()}, fmt::format("class index {} is missing", classes.size()),
                  Exit::kData);
    }
    classes.push_back({name, name});
  }
  return classes;
}

struct Judged {
  std::vector<Label> labels;
  std::vector<int32_t> known;
};

/// What was judged of each clip, by key.
std::map<std::string, Judged> read_labels(const fs::path& file,
                                          const std::vector<ClassInfo>& classes, double above) {
  const auto number = index_by_id(classes);
  const std::string text = read_file(file);
  CsvReader csv(file.string(), text);
  const auto columns = csv.header({"sample_key", "instrument", "relevance"});
  std::map<std::string, Judged> judged;
  CsvRow row;
  while (csv.next(row)) {
    const auto found = number.find(csv.at(row, columns[1]));
    if (found == number.end())
      csv.fail(row,
               fmt::format("instrument '{}' is not in class-map.json", row.fields[columns[1]]));
    const double relevance = csv.number(row, columns[2]);
    if (!(relevance >= 0 && relevance <= 1))
      csv.fail(row, fmt::format("relevance {} is not in 0..1", relevance));
    Judged& one = judged[csv.at(row, columns[0])];
    one.known.push_back(found->second);
    if (relevance > above) one.labels.push_back({found->second, 1.0F});
  }
  return judged;
}

/// The same of openmic-2018.npz, its columns in the order of the class map.
std::map<std::string, Judged> read_arrays(const fs::path& file, size_t classes, double above) {
  const auto arrays = read_npz(file, {"sample_key", "Y_true", "Y_mask"});
  const std::vector<std::string>& keys = arrays[0].texts;
  const std::vector<int64_t> shape = {static_cast<int64_t>(keys.size()),
                                      static_cast<int64_t>(classes)};
  if (keys.empty() || arrays[1].shape != shape || arrays[2].shape != shape ||
      arrays[1].numbers.empty() || arrays[2].numbers.empty()) {
    throw Error(Place{file.string()},
                fmt::format("sample_key, Y_true and Y_mask do not fit to {} classes", classes),
                Exit::kData);
  }
  std::map<std::string, Judged> judged;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto [at, fresh] = judged.try_emplace(keys[i]);
    if (!fresh)
      throw Error(Place{file.string()}, fmt::format("'{}' is there twice", keys[i]), Exit::kData);
    Judged& one = at->second;
    for (size_t k = 0; k < classes; ++k) {
      if (arrays[2].numbers[i * classes + k] == 0) continue;
      const double relevance = arrays[1].numbers[i * classes + k];
      if (!(relevance >= 0 && relevance <= 1)) {
        throw Error(Place{file.string()},
                    fmt::format("Y_true {} of '{}' is not in 0..1", relevance, keys[i]),
                    Exit::kData);
      }
      one.known.push_back(static_cast<int32_t>(k));
      if (relevance > above) one.labels.push_back({static_cast<int32_t>(k), 1.0F});
    }
  }
  return judged;
}

/// KEY.ogg in ROOT/audio/NNN, NNN being the key's first three letters, or in ROOT/audio, or the
/// same with another ending of sound; "" when it is not there.
std::string sound_of(const fs::path& root, const std::string& key) {
  for (const std::string_view ending : endings_from({"ogg", "wav", "flac", "mp3"})) {
    for (const fs::path& folder : {root / "audio" / key.substr(0, 3), root / "audio"}) {
      const fs::path file = folder / fmt::format("{}.{}", key, ending);
      std::error_code ignored;
      if (fs::is_regular_file(file, ignored)) return file.string();
    }
  }
  return {};
}

}  // namespace

Listing list_openmic(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  listing.masked = true;
  const fs::path map = require_file(options, root / "class-map.json");
  fs::path labels = root / "openmic-2018.npz";
  std::error_code ignored;
  const bool arrays = !fs::exists(root / "openmic-2018-aggregated-labels.csv", ignored) &&
                      fs::exists(labels, ignored);
  if (!arrays) labels = require_file(options, root / "openmic-2018-aggregated-labels.csv");
  listing.files = {map.string(), labels.string()};
  listing.classes = read_class_map(map);
  const auto judged =
      arrays ? read_arrays(labels, listing.classes.size(), options.labels_binarise_above)
             : read_labels(labels, listing.classes, options.labels_binarise_above);
  for (const char* split : {"train", "test"}) {
    const fs::path list =
        require_file(options, root / "partitions" / fmt::format("split01_{}.csv", split));
    listing.files.push_back(list.string());
    const std::string text = read_file(list);
    CsvReader csv(list.string(), text);
    CsvRow row;
    while (csv.next(row)) {
      Clip clip;
      clip.id = row.fields[0];
      clip.split = split_index(listing, split, split);
      const auto found = judged.find(clip.id);
      if (found == judged.end())
        csv.fail(row, fmt::format("'{}' has no labels in {}", clip.id, labels.filename().string()));
      clip.labels = found->second.labels;
      clip.known = found->second.known;
      const std::string file = sound_of(root, clip.id);
      if (file.empty()) {
        listing.absent.push_back({clip.id, split, "no sound file"});
        continue;
      }
      clip.source = FileSource{file};
      listing.clips.push_back(std::move(clip));
    }
  }
  return listing;
}

}  // namespace xp::data
