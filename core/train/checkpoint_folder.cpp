#include "core/train/checkpoint_folder.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/load/archive_io.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFolderVersion = 1;

/// JSON has no infinities: they and NaN stand as texts.
json number_json(double value) {
  if (std::isfinite(value)) return value;
  return json{{"number", std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"}};
}

double number_of(const json& value) {
  if (!value.is_object()) return value.get<double>();
  const auto text = value.at("number").get<std::string>();
  return text == "nan" ? std::nan("") : text == "inf" ? HUGE_VAL : -HUGE_VAL;
}

/// Each fact with its type, so that 1.0 does not come back as the integer 1.
json fact_json(const State::Fact& fact) {
  struct Writer {
    json operator()(int64_t value) const { return {{"i", value}}; }
    json operator()(double value) const { return {{"d", number_json(value)}}; }
    json operator()(const std::string& value) const { return {{"s", value}}; }
    json operator()(const std::vector<double>& values) const {
      json list = json::array();
      for (const double value : values) list.push_back(number_json(value));
      return {{"ds", list}};
    }
    json operator()(const std::vector<int64_t>& values) const { return {{"is", values}}; }
  };
  return std::visit(Writer{}, fact);
}

State::Fact fact_of(const json& value) {
  const auto& [type, content] = *value.items().begin();
  if (type == "i") return content.get<int64_t>();
  if (type == "d") return number_of(content);
  if (type == "s") return content.get<std::string>();
  if (type == "is") return content.get<std::vector<int64_t>>();
  std::vector<double> list;
  for (const json& item : content) list.push_back(number_of(item));
  return list;
}

std::string checksum(const fs::path& file) {
  const std::string bytes = read_file(file);
  return fmt::format("{:016x}", checksum64(std::as_bytes(std::span(bytes.data(), bytes.size()))));
}

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path folder, int keep)
    : folder_(std::move(folder)), keep_(static_cast<size_t>(std::max(2, keep))) {}

fs::path CheckpointFolder::file(int64_t step, const char* extension) const {
  return folder_ / fmt::format("state-{:09}.{}", step, extension);
}

void CheckpointFolder::save(int64_t step, const States& states) {
  checkpoint::Archive archive;
  json index{{"version", kFolderVersion}, {"step", step}, {"states", json::object()}};
  for (const auto& [name, state] : states) {
    json& facts = index["states"][name] = json::object();
    for (const auto& [key, fact] : state.facts) facts[key] = fact_json(fact);
    for (const auto& [key, tensor] : state.tensors)
      load::add_tensor(archive, name + "/" + key, tensor);
  }
  const fs::path tensors = file(step, "safetensors");
  archive.write_safetensors(tensors);
  index["bytes"] = fs::file_size(tensors);
  index["checksum"] = checksum(tensors);
  write_file_atomic(file(step, "json"), index.dump(1));
  prune(keep_);
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder_, none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("state-") || !name.ends_with(".json")) continue;
    const std::string digits = name.substr(6, name.size() - 11);
    if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos)
      found.push_back(std::stoll(digits));
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

CheckpointFolder::Loaded CheckpointFolder::read(int64_t step) const {
  const fs::path tensors = file(step, "safetensors");
  const json index = json::parse(read_file(file(step, "json")));
  if (index.at("version").get<int>() != kFolderVersion)
    throw Error("it was written by another version of exp", Exit::kData);
  std::error_code none;
  if (fs::file_size(tensors, none) != index.at("bytes").get<uintmax_t>() ||
      checksum(tensors) != index.at("checksum").get<std::string>())
    throw Error("its tensors are cut short or changed", Exit::kData);
  Loaded loaded;
  loaded.step = step;
  for (const auto& [name, facts] : index.at("states").items())
    for (const auto& [key, fact] : facts.items()) loaded.states[name].facts[key] = fact_of(fact);
  for (const auto& [name, facts] : index.at("states").items()) loaded.states[name];
  const checkpoint::Archive archive = checkpoint::Archive::open(tensors);
  for (const checkpoint::Entry& entry : archive.entries()) {
    const size_t slash = entry.name.find('/');
    XP_CHECK(slash != std::string::npos, "a state's tensor without a state: " + entry.name);
    loaded.states[entry.name.substr(0, slash)].tensors[entry.name.substr(slash + 1)] =
        load::to_tensor(entry);
  }
  return loaded;
}

std::optional<CheckpointFolder::Loaded> CheckpointFolder::load(
    const std::function<void(std::string_view)>& warn) const {
  for (const int64_t step : steps()) {
    try {
      return read(step);
    } catch (const std::exception& error) {
      warn(fmt::format("the checkpoint of step {} is damaged and passed over: {}", step,
                       error.what()));
    }
  }
  return std::nullopt;
}

void CheckpointFolder::prune(size_t keep) {
  const std::vector<int64_t> all = steps();
  std::error_code none;
  for (size_t i = keep; i < all.size(); ++i) {
    // The JSON first: without it the tensors are nothing.
    fs::remove(file(all[i], "json"), none);
    fs::remove(file(all[i], "safetensors"), none);
  }
}

void CheckpointFolder::keep_last() { prune(1); }

}  // namespace xp::train
