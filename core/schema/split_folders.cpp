#include "core/schema/split_folders.h"

#include <algorithm>
#include <filesystem>
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

}  // namespace

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
