#include "core/load/weights_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/load/archive_io.h"
#include "core/load/transformers_config.h"
#include "core/model/files/import.h"
#include "core/recipe/options_io.h"
#include "core/schema/cost.h"
#include "core/schema/geometry.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Metadata keys of exp's own checkpoints, see docs/formats/checkpoint.md.
constexpr const char* kFormatKey = "exp.checkpoint";
constexpr const char* kFormat = "1";

json to_json(const Carried& carried) {
  json classes = json::array();
  for (const auto& [id, name] : carried.classes) classes.push_back({{"id", id}, {"name", name}});
  json metrics = json::object();
  for (const auto& [name, value] : carried.metrics) metrics[name] = value;
  json object = {{"model", recipe::to_text(carried.model)},
                 {"frontend", recipe::to_text(carried.frontend)},
                 {"bins", carried.geometry.F},
                 {"frames", carried.geometry.T},
                 {"classes", classes},
                 {"epoch", carried.epoch},
                 {"step", carried.step},
                 {"metrics", metrics}};
  if (carried.loss) object["loss"] = recipe::enum_name(*carried.loss);
  return object;
}

Carried from_json(const json& object) {
  Carried carried;
  carried.model = recipe::from_text<schema::ModelOptions>(object.at("model").get<std::string>());
  carried.frontend =
      recipe::from_text<schema::FrontendOptions>(object.at("frontend").get<std::string>());
  carried.geometry.F = object.at("bins").get<int64_t>();
  carried.geometry.T = object.at("frames").get<int64_t>();
  for (const json& item : object.at("classes"))
    carried.classes.emplace_back(item.at("id").get<std::string>(),
                                 item.at("name").get<std::string>());
  if (const auto loss = object.find("loss"); loss != object.end())
    carried.loss = recipe::parse_enum<schema::Loss>(loss->get<std::string>());
  carried.epoch = object.at("epoch").get<int64_t>();
  carried.step = object.at("step").get<int64_t>();
  for (const auto& [name, value] : object.at("metrics").items())
    carried.metrics[name] = value.is_number() ? value.get<double>() : 0.0;
  return carried;
}

/// What the description needs has to be there: else as much memory as it names would be asked for.
/// Families without a count (CNNs) are bounded by the ranges of their keys.
void check_size(const Carried& carried, const checkpoint::Archive& archive) {
  int64_t held = 0;
  for (const checkpoint::Entry& entry : archive.entries()) held += entry.numel();
  const auto classes = static_cast<int64_t>(carried.classes.size());
  const int64_t described =
      schema::transformer_cost(carried.model, {}, carried.geometry, classes).parameters;
  if (described > 2 * held) {
    throw Error(fmt::format("it describes {} parameters and holds {} values", described, held),
                Exit::kData);
  }
}

}  // namespace

void write_weights(const fs::path& folder, const std::string& name, const model::Model& model,
                   const Carried& carried) {
  const json object = to_json(carried);
  checkpoint::Archive archive;
  for (const model::NamedTensor& named : model.state())
    add_tensor(archive, named.name, named.tensor);
  archive.set_metadata(kFormatKey, kFormat);
  archive.set_metadata("exp.carried", object.dump());
  archive.write_safetensors(folder / (name + ".safetensors"));
  write_file_atomic(folder / (name + ".json"), object.dump(1) + "\n");
}

std::string carried_text(const Carried& carried) { return to_json(carried).dump(); }

Carried parse_carried(const std::string& text) { return from_json(json::parse(text)); }

std::optional<Carried> carried_of(const checkpoint::Archive& archive, const fs::path& file) {
  const auto& metadata = archive.metadata();
  const auto format = metadata.find(kFormatKey);
  if (format == metadata.end()) {
    std::optional<Carried> others = transformers_config(archive, file);
    if (others) check_size(*others, archive);
    return others;
  }
  if (format->second != kFormat)
    throw Error(fmt::format("{}: a checkpoint of a newer version of exp", file.string()),
                Exit::kData);
  try {
    Carried carried = from_json(json::parse(metadata.at("exp.carried")));
    check_size(carried, archive);
    return carried;
  } catch (const std::exception& error) {
    throw Error(fmt::format("{}: damaged metadata ({})", file.string(), error.what()), Exit::kData);
  }
}

std::optional<Carried> read_carried(const fs::path& file) {
  return carried_of(checkpoint::Archive::open(file), file);
}

void take_positions(schema::ModelOptions& options, const checkpoint::Archive& archive) {
  if (options.resolved().family != schema::Family::k_passt || options.pos_frames > 0) return;
  options.pos_frames = model::time_positions(archive) * schema::strides(options).t;
}

fs::path weights_path(const fs::path& path, const std::string& part) {
  if (!fs::is_directory(path)) return path;
  const std::string wanted = part.empty() || part == "output" ? "last" : part;
  const fs::path file = path / (wanted + ".safetensors");
  if (fs::exists(file)) return file;
  // Not a stage's folder: the one checkpoint that it is.
  if (wanted == "last")
    if (const auto only = checkpoint::checkpoint_in(path)) return *only;
  throw Error(xp::Place{path.string()},
              part == "average"
                  ? "no checkpoint 'average': its training had no [averaging]"
                  : fmt::format("a folder without a checkpoint: neither {}.safetensors of exp nor "
                                "model.safetensors, pytorch_model.bin or an index of shards is in "
                                "it; give the file itself",
                                wanted),
              Exit::kData);
}

}  // namespace xp::load
