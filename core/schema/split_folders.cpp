#include "core/schema/split_folders.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <system_error>

namespace xp::schema {
namespace {

std::vector<std::string> folders_of(const std::string& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code none;
    const std::string name = at->path().filename().string();
    if (!name.starts_with('.') && at->is_directory(none)) names.push_back(name);
  }
  return names;
}

/// The first of a part's names below one of the folders that is a file.
std::filesystem::path first_file(const std::filesystem::path& root,
                                 std::initializer_list<const char*> folders,
                                 const std::string& part, std::initializer_list<const char*> ends) {
  for (const char* folder : folders) {
    for (const char* end : ends) {
      const std::filesystem::path file = root / folder / (part + end);
      std::error_code none;
      if (std::filesystem::is_regular_file(file, none)) return file;
    }
  }
  return {};
}

/// Of the parts that are listed; the evaluation part is one wherever it is there.
std::set<std::string> splits_of_parts(const DatasetOptions& dataset) {
  const bool packed = dataset.name == DatasetName::kPasstHdf5;
  std::vector<std::string> parts = dataset.parts;
  parts.emplace_back("eval");
  std::set<std::string> names;
  for (const std::string& part : parts) {
    const auto file =
        packed ? passt_container(dataset.root, part) : audioset_list(dataset.root, part);
    if (file.empty()) continue;
    names.insert(part);
    names.emplace(part.starts_with("eval") ? "test" : packed && part == "val" ? "val" : "train");
  }
  return names;
}

}  // namespace

std::filesystem::path audioset_list(const std::filesystem::path& root, const std::string& part) {
  return first_file(root, {"", "metadata", "csv"}, part, {"_segments.csv", ".csv"});
}

std::filesystem::path passt_container(const std::filesystem::path& root, const std::string& part) {
  return first_file(root, {"", "mp3"}, part, {"_segments_mp3.hdf", "_mp3.hdf", ".hdf", ".h5"});
}

std::string_view split_group(std::string_view folder) {
  if (folder == "train" || folder == "training") return "train";
  if (folder == "val" || folder == "valid" || folder == "validation" || folder == "dev")
    return "val";
  if (folder == "test" || folder == "testing" || folder == "eval") return "test";
  return {};
}

std::string_view librispeech_group(std::string_view folder) {
  if (folder.starts_with("train-")) return "train";
  if (folder.starts_with("dev-")) return "val";
  if (folder.starts_with("test-")) return "test";
  return {};
}

std::optional<std::vector<std::string>> folder_splits(const DatasetOptions& dataset) {
  if (dataset.name == DatasetName::kAudioset || dataset.name == DatasetName::kPasstHdf5) {
    const std::set<std::string> names = splits_of_parts(dataset);
    if (names.empty()) return std::nullopt;
    return std::vector<std::string>(names.begin(), names.end());
  }
  const bool speech = dataset.name == DatasetName::kLibrispeech;
  if (!speech && dataset.name != DatasetName::kFolder) return std::nullopt;
  const std::vector<std::string> folders = folders_of(dataset.root);
  std::set<std::string> names;
  std::size_t splits = 0;
  for (const std::string& folder : folders) {
    const std::string_view group = speech ? librispeech_group(folder) : split_group(folder);
    if (group.empty()) continue;
    ++splits;
    names.insert(folder);
    names.emplace(group);
  }
  // Folders of classes alone are split by the hash of their files' names.
  if (!speech && splits == 0 && !folders.empty()) return {{"train", "val", "test"}};
  if (splits == 0 || (!speech && splits < folders.size())) return std::nullopt;
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace xp::schema
