// Speech Commands (Warden 2018), versions 0.01 and 0.02: one-second words at 16 kHz, 10, 12 or all
// words.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <unordered_map>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/csv.h"
#include "data/pipeline.h"
#include "data/sets/sets.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 10> kCore = {"yes",   "no", "up",  "down", "left",
                                               "right", "on", "off", "stop", "go"};
constexpr std::array<const char*, 20> kOther = {
    "bed",  "bird", "cat",   "dog",    "eight", "five",  "four", "happy", "house", "marvin",
    "nine", "one",  "seven", "sheila", "six",   "three", "tree", "two",   "wow",   "zero"};
constexpr std::array<const char*, 5> kSecond = {"backward", "follow", "forward", "learn", "visual"};
constexpr const char* kUnknown = "_unknown_";
constexpr const char* kSilence = "_silence_";
constexpr const char* kNoise = "_background_noise_";
constexpr double kExtraFraction = 0.1;  // of the words' clips, for _unknown_ and for _silence_ each

enum SplitNumber : int16_t { kTrain = 0, kValidation = 1, kTesting = 2 };

std::vector<ClassInfo> own_classes(const schema::DatasetOptions& options) {
  std::vector<std::string> words(kCore.begin(), kCore.end());
  if (options.words == schema::CommandWords::kAll35) {
    words.insert(words.end(), kOther.begin(), kOther.end());
    if (options.version == 2) words.insert(words.end(), kSecond.begin(), kSecond.end());
    std::sort(words.begin(), words.end());
  } else if (options.words == schema::CommandWords::kCore12) {
    words.insert(words.end(), {kUnknown, kSilence});
  }
  std::vector<ClassInfo> classes;
  for (const std::string& word : words) classes.push_back({word, word});
  return classes;
}

/// The rule by which the official lists were made: SHA-1 of the speaker's part of the name, its low
/// 27 bits as a percentage; below 10 validation, below 20 testing. A speaker stays in one split.
int16_t split_of_speaker(const std::string& file) {
  const std::string name = fs::path(file).filename().string();
  const std::string speaker = name.substr(0, name.find("_nohash_"));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(speaker.data(), speaker.size(), digest.data(), &size, EVP_sha1(), nullptr);
  constexpr uint32_t kLargest = (1U << 27U) - 1;
  const uint32_t low = (uint32_t{digest[16]} << 24U | uint32_t{digest[17]} << 16U |
                        uint32_t{digest[18]} << 8U | digest[19]) &
                       kLargest;
  const double percent = static_cast<double>(low) * (100.0 / kLargest);
  return percent < 10 ? kValidation : percent < 20 ? kTesting : kTrain;
}

/// A line of a list as editors and other systems leave it, as WORD/file.wav.
std::string listed_path(std::string_view line) {
  std::string path(trimmed(line));
  std::replace(path.begin(), path.end(), '\\', '/');
  while (path.starts_with("./")) path.erase(0, 2);
  return path;
}

/// WORD/file.wav -> split, from the two official lists.
std::unordered_map<std::string, int16_t> read_lists(const schema::DatasetOptions& options,
                                                    const fs::path& root, Listing& listing) {
  std::unordered_map<std::string, int16_t> splits;
  for (const auto& [name, split] :
       {std::pair{"validation_list.txt", kValidation}, std::pair{"testing_list.txt", kTesting}}) {
    const fs::path file = root / name;
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
      fail_layout(options, fmt::format("there is no file {}; dataset.split = \"hash\" does without",
                                       file.string()));
    }
    listing.files.push_back(file.string());
    const std::string text = read_file(file);
    for (const std::string& line : split_any(utf8_text(file.string(), text), "\r\n")) {
      const std::string path = listed_path(line);
      if (path.empty()) continue;
      const auto [other, fresh] = splits.emplace(path, split);
      if (!fresh && other->second != split) {
        throw Error(Place{file.string()},
                    fmt::format("'{}' is in validation_list.txt as well", path), Exit::kData);
      }
    }
  }
  return splits;
}

struct Spoken {
  std::string word;
  std::string file;  ///< relative to the root
  int16_t split;
};

/// Every clip of every word, in the order of the paths.
std::vector<Spoken> spoken_clips(const schema::DatasetOptions& options, const fs::path& root,
                                 Listing& listing) {
  std::unordered_map<std::string, int16_t> lists;
  const bool by_list = options.split == schema::CommandSplit::kList;
  if (by_list) lists = read_lists(options, root, listing);
  std::vector<Spoken> clips;
  for (const std::string& word : folders_in(root)) {
    if (word == kNoise) continue;
    for (const std::string& name : sound_files(root, word, false, &listing.left_out)) {
      const std::string file = word + "/" + name;
      const auto listed = lists.find(file);
      const int16_t split = !by_list                ? split_of_speaker(file)
                            : listed == lists.end() ? int16_t{kTrain}
                                                    : listed->second;
      if (listed != lists.end()) lists.erase(listed);
      clips.push_back({word, file, split});
    }
  }
  // What the lists name and the folders lack, in a stable order.
  std::map<std::string, int16_t> left(lists.begin(), lists.end());
  for (const auto& [file, split] : left) {
    listing.absent.push_back(
        {file, split == kValidation ? "validation" : "testing", fmt::format("no file {}", file)});
  }
  return clips;
}

void add(Listing& listing, const fs::path& root, const Spoken& spoken, int32_t label) {
  Clip clip;
  clip.id = spoken.file;
  clip.split = spoken.split;
  clip.labels.push_back({label, 1.0F});
  clip.source = FileSource{(root / spoken.file).string()};
  listing.clips.push_back(std::move(clip));
}

/// As many of the other words as make a tenth of the split, chosen by the hash of their path.
void add_unknown(Listing& listing, const fs::path& root, std::vector<Spoken> others,
                 const std::array<int64_t, 3>& counts, int32_t label) {
  std::sort(others.begin(), others.end(), [](const Spoken& a, const Spoken& b) {
    const auto key = [](const Spoken& s) {
      return std::pair(checksum64(std::as_bytes(std::span(s.file))), s.file);
    };
    return key(a) < key(b);
  });
  for (int16_t split = 0; split < 3; ++split) {
    auto wanted = static_cast<int64_t>(
        std::ceil(kExtraFraction * static_cast<double>(counts[static_cast<size_t>(split)])));
    for (const Spoken& one : others) {
      if (one.split != split || wanted == 0) continue;
      add(listing, root, one, label);
      --wanted;
    }
  }
}

/// One-second cuts of the background noise, spread evenly; training takes the first 80 % of each
/// file, validation and testing the next two tenths, so that no second of noise is in two splits.
void add_silence(Listing& listing, const schema::DatasetOptions& options, const fs::path& root,
                 const std::array<int64_t, 3>& counts, int32_t label) {
  std::vector<std::pair<std::string, double>> noises;
  std::error_code ignored;
  if (fs::is_directory(root / kNoise, ignored)) {
    for (const std::string& name : sound_files(root, kNoise, false)) {
      const double seconds = probe_seconds(FileSource{(root / kNoise / name).string()});
      if (seconds >= 10) noises.emplace_back(name, seconds);
    }
  }
  if (noises.empty()) {
    fail_layout(options, fmt::format("words = \"core12\" needs noise of at least 10 s in {}",
                                     (root / kNoise).string()));
  }
  constexpr std::array<std::pair<double, double>, 3> kShare = {
      {{0.0, 0.8}, {0.8, 0.9}, {0.9, 1.0}}};
  constexpr std::array<const char*, 3> kName = {"train", "validation", "testing"};
  for (size_t split = 0; split < 3; ++split) {
    const auto wanted =
        static_cast<int64_t>(std::ceil(kExtraFraction * static_cast<double>(counts[split])));
    for (int64_t i = 0; i < wanted; ++i) {
      const auto& [name, seconds] = noises[static_cast<size_t>(i) % noises.size()];
      const double from = kShare[split].first * seconds;
      const double room = std::max(0.0, kShare[split].second * seconds - from - 1.0);
      // The golden ratio spreads any number of cuts evenly over the room.
      const double at = from + room * std::fmod(static_cast<double>(i) * 0.6180339887498949, 1.0);
      Clip clip;
      clip.id = fmt::format("{}/{}-{:05}", kSilence, kName[split], i);
      clip.split = static_cast<int16_t>(split);
      clip.labels.push_back({label, 1.0F});
      clip.source = FileSource{(root / kNoise / name).string(), at, 1.0};
      listing.clips.push_back(std::move(clip));
    }
  }
}

}  // namespace

Listing list_speechcommands(const schema::DatasetOptions& options) {
  const fs::path root = require_root(options);
  Listing listing;
  split_index(listing, "train", "train");
  split_index(listing, "validation", "val");
  split_index(listing, "testing", "test");
  listing.classes =
      options.labels.empty() ? own_classes(options) : classes_of(options, {}, listing);
  // AST's label file names words in its third column.
  std::map<std::string, int32_t, std::less<>> number;
  for (size_t i = 0; i < listing.classes.size(); ++i)
    number.emplace(listing.classes[i].name, static_cast<int32_t>(i));

  std::array<int64_t, 3> counts{};
  std::vector<Spoken> others;
  for (const Spoken& spoken : spoken_clips(options, root, listing)) {
    const auto found = number.find(spoken.word);
    if (found != number.end()) {
      add(listing, root, spoken, found->second);
      ++counts[static_cast<size_t>(spoken.split)];
    } else if (options.words == schema::CommandWords::kAll35) {
      throw Error(fmt::format("{}: '{}' is not a word of Speech Commands version {}",
                              (root / spoken.word).string(), spoken.word, options.version),
                  Exit::kData);
    } else {
      others.push_back(spoken);
    }
  }
  if (listing.clips.empty())
    fail_layout(options, fmt::format("{} holds no clip of the wanted words", root.string()));
  if (options.words == schema::CommandWords::kCore12) {
    const auto unknown = number.find(kUnknown);
    const auto silence = number.find(kSilence);
    if (unknown == number.end() || silence == number.end()) {
      throw Error(fmt::format("{}: words = \"core12\" needs the classes _unknown_ and _silence_",
                              options.labels),
                  Exit::kData);
    }
    add_unknown(listing, root, std::move(others), counts, unknown->second);
    add_silence(listing, options, root, counts, silence->second);
  }
  return listing;
}

}  // namespace xp::data
