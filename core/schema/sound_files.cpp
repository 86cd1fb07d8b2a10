#include "core/schema/sound_files.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace xp::schema {
namespace {

/// Of all formats of libsndfile but raw samples, which have no header, and those whose endings say
/// something else as a rule: .mat, .mpc, .iff, .xi, .sd2 (its header is in a resource fork).
constexpr std::string_view kSound[] = {
    "wav", "flac", "ogg", "opus", "mp3", "aiff", "aif", "au",   "caf", "w64",  "rf64",
    "oga", "aifc", "snd", "mp2",  "mp1", "m1a",  "m2a", "mpga", "bwf", "wave", "sph",
    "voc", "nist", "sf",  "paf",  "svx", "8svx", "pvf", "htk",  "avr", "sds",  "wve"};

constexpr std::string_view kForeign[] = {
    "m4a", "m4b", "m4r",  "mp4",  "aac", "adts", "wma", "asf",  "amr", "3gp", "3g2",
    "mka", "mkv", "webm", "mov",  "avi", "flv",  "mpg", "mpeg", "ts",  "ape", "wv",
    "tta", "tak", "ac3",  "eac3", "dts", "dsf",  "dff", "ra",   "rm",  "spx", "shn"};

/// What the lists of a set are called: endings of names.
std::span<const std::string_view> lists_of(DatasetName set) {
  static constexpr std::string_view kCsv[] = {".csv"};
  static constexpr std::string_view kOpenmic[] = {".csv", ".json", ".npz"};
  static constexpr std::string_view kWords[] = {"validation_list.txt", "testing_list.txt"};
  static constexpr std::string_view kContainers[] = {".csv", ".hdf"};
  switch (set) {
    case DatasetName::kAudioset:
    case DatasetName::kEsc50:
    case DatasetName::kFsd50k:
      return kCsv;
    case DatasetName::kOpenmic:
      return kOpenmic;
    case DatasetName::kSpeechcommands:
      return kWords;
    case DatasetName::kPasstHdf5:
      return kContainers;
    case DatasetName::kLibrispeech:
    case DatasetName::kJson:
    case DatasetName::kFolder:
    case DatasetName::kSynthetic:
      return {};
  }
  return {};
}

/// Without its dot, in small letters; "" where there is none.
std::string ending(std::string_view file) {
  const std::string_view name = file.substr(file.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return "";
  std::string out(name.substr(dot + 1));
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_one_of(std::span<const std::string_view> endings, std::string_view one) {
  return std::find(endings.begin(), endings.end(), one) != endings.end();
}

}  // namespace

FileKind kind_of_file(std::string_view file) {
  const std::string one = ending(file);
  if (one.empty()) return FileKind::kOther;
  if (is_one_of(kSound, one)) return FileKind::kSound;
  return is_one_of(kForeign, one) ? FileKind::kForeignSound : FileKind::kOther;
}

std::string ending_of(std::string_view file) {
  const std::string one = ending(file);
  return one.empty() ? "no ending" : "." + one;
}

std::span<const std::string_view> sound_endings() { return kSound; }

std::string endings_text(const std::map<std::string, int64_t>& count) {
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto& [one, files] : count) order.emplace_back(-files, one);
  std::sort(order.begin(), order.end());
  std::string out;
  for (const auto& [files, one] : order)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", -files,
                       one == "no ending" ? "without an ending" : one);
  return out;
}

bool counts_in(DatasetName set, std::string_view file) {
  const auto lists = lists_of(set);
  const bool is_list = std::any_of(lists.begin(), lists.end(),
                                   [&](std::string_view list) { return file.ends_with(list); });
  return is_list || (set != DatasetName::kPasstHdf5 && kind_of_file(file) != FileKind::kOther);
}

}  // namespace xp::schema
