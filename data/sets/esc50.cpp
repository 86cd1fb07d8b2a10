// ESC-50 (Piczak 2015): 2,000 clips of 5 s, 50 classes, 5 folds; ESC-10 is ten of its classes.
#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "core/schema/sound_files.h"
#include "data/csv.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

struct Row {
  std::string file;
  int64_t fold;
  int32_t target;
};

/// "True" as published, "TRUE" as a spreadsheet saves it.
bool is_true(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text == "true";
}

/// The file of a row: audio/NAME, or the same stem with another ending of sound or in a resampled
/// copy beside it.
fs::path find_sound(const fs::path& root, const std::string& name) {
  for (const char* folder : {"audio", "audio_32k", "audio_16k"}) {
    fs::path file = root / folder / name;
    std::error_code ignored;
    const bool sound = schema::kind_of_file(name) == schema::FileKind::kSound;
    if (sound && fs::is_regular_file(file, ignored)) return file;
    for (const std::string_view ending : endings_from({"ogg", "flac", "wav", "mp3"})) {
      if (fs::is_regular_file(file.replace_extension(ending), ignored)) return file;
    }
  }
  return {};
}

}  // namespace

Listing list_esc50(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  const fs::path meta = require_file(options, root / "meta" / "esc50.csv");
  Listing listing;
  listing.folds = true;
  listing.files.push_back(meta.string());
  const bool esc10 = options.subset == schema::EscSubset::kEsc10;

  const std::string text = read_file(meta);
  CsvReader csv(meta.string(), text);
  const auto columns = csv.header({"filename", "fold", "target", "category", "esc10"});
  std::map<int32_t, std::string> names;
  std::map<std::string, int64_t> targets;
  std::vector<Row> rows;
  std::set<std::string> seen;
  CsvRow row;
  while (csv.next(row)) {
    if (esc10 && !is_true(csv.at(row, columns[4]))) continue;
    const int64_t fold = csv.integer(row, columns[1]);
    const int64_t target = csv.integer(row, columns[2]);
    if (fold < 1 || fold > 5) csv.fail(row, fmt::format("fold {} is not in 1..5", fold));
    if (target < 0 || target > 49) csv.fail(row, fmt::format("target {} is not in 0..49", target));
    const std::string& category = csv.at(row, columns[3]);
    const auto [named, fresh] = names.emplace(static_cast<int32_t>(target), category);
    if (!fresh && named->second != category) {
      csv.fail(row, fmt::format("target {} is '{}' here and '{}' above", target, category,
                                named->second));
    }
    const auto [targeted, first] = targets.emplace(category, target);
    if (!first && targeted->second != target) {
      csv.fail(row, fmt::format("category '{}' is target {} here and {} above", category, target,
                                targeted->second));
    }
    const std::string& file = csv.at(row, columns[0]);
    if (!seen.insert(file).second) csv.fail(row, fmt::format("'{}' is listed twice", file));
    rows.push_back({file, fold, static_cast<int32_t>(target)});
  }
  if (rows.empty())
    throw Error(Place{meta.string()}, "no clip of the wanted subset in it", Exit::kData);

  // Classes are numbered in the order of their targets: 0..49, or 0..9 of the ten that are kept.
  std::map<int32_t, int32_t> number;
  for (const auto& [target, name] : names) {
    number.emplace(target, static_cast<int32_t>(listing.classes.size()));
    listing.classes.push_back({name, name});
  }
  if (!esc10 && listing.classes.size() != 50) {
    throw Error(
        Place{meta.string()},
        fmt::format(
            "{} classes in it, ESC-50 has 50; is this ESC-10? Then set dataset.subset = \"esc10\"",
            listing.classes.size()),
        Exit::kData);
  }
  for (const Row& one : rows) {
    Clip clip;
    clip.id = fs::path(one.file).stem().string();
    clip.fold = static_cast<int16_t>(one.fold);
    const fs::path sound = find_sound(root, one.file);
    if (sound.empty()) {
      listing.absent.push_back(
          {clip.id, fmt::format("fold {}", one.fold), fmt::format("no file audio/{}", one.file)});
      continue;
    }
    clip.source = FileSource{sound.string()};
    clip.labels.push_back({number.at(one.target), 1.0F});
    listing.clips.push_back(std::move(clip));
  }
  return listing;
}

}  // namespace xp::data
