// A state dict in several files. The index is JSON: {"metadata": {..}, "weight_map": {tensor:
// file}}, the files lie beside it and are .safetensors or files of torch.save.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/checkpoint/formats.h"

namespace xp::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kIndexEnding = ".index.json";
constexpr size_t kMostIndexBytes = 100'000'000;

/// Tensors of each shard. A shard is a name without folders, so that no index reads elsewhere.
std::map<std::string, std::set<std::string>> shards_of(const fs::path& index,
                                                       const Limits& limits) {
  const json read =
      json::parse(read_file(index, kMostIndexBytes), nullptr, /*allow_exceptions=*/false);
  if (!read.is_object() || !read.contains("weight_map") || !read["weight_map"].is_object())
    refuse(index, "no index of shards: it has no weight_map");
  std::map<std::string, std::set<std::string>> shards;
  if (static_cast<int64_t>(read["weight_map"].size()) > limits.tensors)
    refuse(index, "too many tensors");
  for (const auto& [tensor, file] : read["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
        is_index(name))
      refuse(index, "the shard of '" + tensor + "' is no name of a file beside the index");
    shards[name].insert(tensor);
  }
  if (shards.empty()) refuse(index, "its weight_map is empty");
  return shards;
}

}  // namespace

bool is_index(const fs::path& file) { return file.filename().string().ends_with(kIndexEnding); }

Archive read_shards(const fs::path& index, const Limits& limits) {
  Archive whole;
  for (const auto& [name, tensors] : shards_of(index, limits)) {
    const fs::path file = index.parent_path() / name;
    if (!fs::exists(file)) refuse(index, "the shard '" + name + "' is not there");
    const Archive shard = read_any(file, MappedFile::open(file), limits);
    for (const std::string& tensor : tensors) {
      if (shard.find(tensor) == nullptr)
        refuse(index, "tensor '" + tensor + "' is not in its shard '" + name + "'");
    }
    for (const Entry& entry : shard.entries()) {
      if (tensors.count(entry.name) == 0)
        refuse(index, "it does not know '" + entry.name + "' of the shard '" + name + "'");
      whole.add(entry);
    }
    for (const auto& [key, value] : shard.metadata()) whole.set_metadata(key, value);
    whole.set_format("shards");
  }
  return whole;
}

std::optional<fs::path> checkpoint_in(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json"})
    if (fs::exists(folder / name)) return folder / name;
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (is_index(entry.path())) found.push_back(entry.path());
  if (found.size() == 1) return found.front();
  return std::nullopt;
}

}  // namespace xp::checkpoint
