// Families are told by the names of a few tensors, which stand behind the wrappers and prefixes of
// the projects ("module.v.cls_token", "net.cls_token", "audio_spectrogram_transformer.embeddings.
// cls_token"); sizes by the shapes of these.
#include "core/schema/weights_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/recipe/options_io.h"
#include "core/schema/cnn.h"

namespace xp::schema {
namespace {

using checkpoint::Archive;
using checkpoint::Entry;

/// A tensor whose name is `name`, or ends in it after a dot.
const Entry* find_entry(const Archive& archive, std::string_view name) {
  for (const Entry& entry : archive.entries()) {
    const std::string_view have = entry.name;
    if (!have.ends_with(name)) continue;
    if (have.size() == name.size() || have[have.size() - name.size() - 1] == '.') return &entry;
  }
  return nullptr;
}

/// One more than the largest N of "LEVEL.N." in the names.
int64_t count_blocks(const Archive& archive) {
  constexpr auto kLevels = std::to_array<std::string_view>({"blocks.", "layer.", "layers."});
  int64_t count = 0;
  for (const Entry& entry : archive.entries()) {
    const std::string_view name = entry.name;
    for (const std::string_view level : kLevels) {
      const size_t at = name.find(level);
      if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.')) continue;
      int64_t index = 0;
      const char* const begin = name.data() + at + level.size();
      const auto parsed = std::from_chars(begin, name.data() + name.size(), index);
      if (parsed.ec == std::errc()) count = std::max(count, index + 1);
    }
  }
  return count;
}

/// The last convolution of a CNN: 1 x 1 from the last stage's channels.
int64_t last_channels(const Archive& archive) {
  const auto stages = static_cast<int64_t>(cnn_stages(1, {2, 2, 2, 2}, false, false).size());
  for (const std::string& name :
       {fmt::format("features.{}.0.weight", stages + 1), std::string("out_c.0.weight")}) {
    const Entry* const entry = find_entry(archive, name);
    if (entry != nullptr && entry->shape.size() == 4) return entry->shape[1];
  }
  return 0;
}

/// What exp's own checkpoints carry (docs/formats/checkpoint.md).
void read_carried(const std::string& text, WeightsHeader& out) {
  const auto carried = nlohmann::json::parse(text);
  out.frontend = recipe::from_text<FrontendOptions>(carried.at("frontend").get<std::string>());
  out.classes = static_cast<int64_t>(carried.at("classes").size());
}

}  // namespace

WeightsHeader read_weights_header(const std::filesystem::path& file) {
  const Archive archive = Archive::open(file);
  WeightsHeader out;
  const Entry* const token = find_entry(archive, "cls_token");
  const bool cnn = find_entry(archive, "features.0.0.weight") != nullptr ||
                   find_entry(archive, "in_c.0.weight") != nullptr;
  const auto carried = archive.metadata().find("exp.carried");
  if (token != nullptr && !token->shape.empty()) {
    out.body = Body::kPatches;
    out.dim = token->shape.back();
    out.depth = count_blocks(archive);
  } else if (cnn) {
    out.body = Body::kCnn;
    out.width = last_channels(archive);
  } else if (carried == archive.metadata().end()) {
    const bool optimiser = std::any_of(
        archive.entries().begin(), archive.entries().end(),
        [](const Entry& entry) { return entry.name.find("exp_avg") != std::string::npos; });
    throw Error(Place{file.string()},
                optimiser ? "it holds the state of an optimiser and no weights"
                          : "none of its tensors has the name of a network's",
                Exit::kData);
  }
  if (carried == archive.metadata().end()) return out;
  try {
    read_carried(carried->second, out);
  } catch (const std::exception& error) {
    throw Error(Place{file.string()}, fmt::format("damaged metadata ({})", error.what()),
                Exit::kData);
  }
  return out;
}

std::string why_unfit(const WeightsHeader& weights, const ModelOptions& model) {
  const Arch arch = model.resolved();
  if (body_of(arch.family) != weights.body) {
    constexpr std::array<std::string_view, 3> kNames = {"a transformer", "a CNN",
                                                        "neither a transformer nor a CNN"};
    const auto name = [&](Body body) { return kNames[static_cast<size_t>(body)]; };
    return fmt::format("they are of {}, {} is {}", name(weights.body), model.arch,
                       name(body_of(arch.family)));
  }
  if (weights.body == Body::kPatches) {
    if (weights.dim != arch.dim)
      return fmt::format("their tokens have {} values, those of {} {}", weights.dim, model.arch,
                         arch.dim);
    ModelOptions whole = model;
    whole.cut_depth = 0;
    const bool fits = weights.depth == arch.depth || weights.depth == whole.resolved().depth;
    if (model.strict && !fits)
      return fmt::format("they have {} blocks, {} has {}; model.strict = false takes what fits",
                         weights.depth, model.arch, arch.depth);
  }
  if (weights.body == Body::kCnn && weights.width > 0) {
    const int64_t own = cnn_stages(arch.width, arch.strides, false, false).back().out;
    if (weights.width != own)
      return fmt::format("their last convolution has {} channels, that of {} {}", weights.width,
                         model.arch, own);
  }
  return "";
}

}  // namespace xp::schema
