// FSD50K (Fonseca et al. 2020): 200 classes, clips of 0.3 to 30 s.
#include <map>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/csv.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

/// vocabulary.csv: index,label,mid without a header.
std::vector<ClassInfo> read_vocabulary(const fs::path& file) {
  const std::string text = read_file(file);
  CsvReader csv(file.string(), text);
  std::vector<ClassInfo> classes;
  CsvRow row;
  while (csv.next(row)) {
    if (csv.integer(row, 0) != static_cast<int64_t>(classes.size())) {
      csv.fail(row, fmt::format("index {} where {} was expected", row.fields[0], classes.size()));
    }
    classes.push_back({csv.at(row, 2), csv.at(row, 1)});
  }
  if (classes.empty()) throw Error(Place{file.string()}, "no class in it", Exit::kData);
  return classes;
}

fs::path ground_truth(const fs::path& root) {
  std::error_code ignored;
  for (const char* name : {"FSD50K.ground_truth", "ground_truth"}) {
    if (fs::is_directory(root / name, ignored)) return root / name;
  }
  return root / "FSD50K.ground_truth";
}

/// Below the root.
std::string sound_folder(const fs::path& root, const std::string& part) {
  std::error_code ignored;
  for (const std::string& name :
       {"FSD50K." + part + "_audio", part + "_audio", "FSD50K." + part + "_audio_32k"}) {
    if (fs::is_directory(root / name, ignored)) return name;
  }
  return "FSD50K." + part + "_audio";
}

using Numbers = std::map<std::string, int32_t, std::less<>>;

void list_part(const fs::path& root, const fs::path& list, const std::string& part,
               const Numbers& number, Listing& listing) {
  const std::string text = read_file(list);
  CsvReader csv(list.string(), text);
  const bool dev = part == "dev";
  const auto columns = dev ? csv.header({"fname", "mids", "split"}) : csv.header({"fname", "mids"});
  std::map<std::string, std::string> files;
  const std::string folder = sound_folder(root, part);
  std::error_code ignored;
  if (fs::is_directory(root / folder, ignored)) {
    for (const std::string& file : sound_files(root, folder, false, &listing.left_out))
      files.emplace(fs::path(file).stem().string(), file);
  }
  CsvRow row;
  while (csv.next(row)) {
    Clip clip;
    clip.id = csv.at(row, columns[0]);
    const std::string split = dev ? csv.at(row, columns[2]) : "eval";
    if (dev && split != "train" && split != "val")
      csv.fail(row, fmt::format("split '{}' is neither train nor val", split));
    clip.split = split_index(listing, split, split == "eval" ? "test" : split);
    for (const std::string& mid : split_any(csv.at(row, columns[1]), ", ")) {
      const auto found = number.find(mid);
      if (found == number.end())
        csv.fail(row, fmt::format("label '{}' is not in the vocabulary", mid));
      clip.labels.push_back({found->second, 1.0F});
    }
    const auto file = files.find(clip.id);
    if (file == files.end()) {
      listing.absent.push_back({clip.id, split, "no sound file"});
      continue;
    }
    clip.source = FileSource{(root / folder / file->second).string()};
    listing.clips.push_back(std::move(clip));
  }
}

}  // namespace

Listing list_fsd50k(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  const fs::path truth = ground_truth(root);
  Listing listing;
  const fs::path vocabulary = require_file(options, truth / "vocabulary.csv");
  listing.classes =
      options.labels.empty() ? read_vocabulary(vocabulary) : classes_of(options, {}, listing);
  listing.files.push_back(vocabulary.string());
  const auto number = index_by_id(listing.classes);
  for (const char* part : {"dev", "eval"}) {
    const fs::path list = require_file(options, truth / (std::string(part) + ".csv"));
    listing.files.push_back(list.string());
    list_part(root, list, part, number, listing);
  }
  return listing;
}

}  // namespace xp::data
