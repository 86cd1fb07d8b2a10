#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/checkpoint/archive.h"
#include "core/load/class_ids.h"
#include "core/model/model.h"
#include "core/schema/frontend.h"
#include "core/schema/model.h"
#include "core/schema/train.h"

namespace xp::schema {
struct TomeOptions;
struct PatchoutOptions;
}  // namespace xp::schema

namespace xp::load {

/// What a checkpoint says of itself beside the tensors: enough to build the model and its input
/// anywhere. It stands in the metadata of NAME.safetensors and, for people and scripts, in
/// NAME.json.
struct Carried {
  schema::ModelOptions model;
  schema::FrontendOptions frontend;
  model::Geometry geometry;
  ClassList classes;                 ///< in the order of the logits
  std::optional<schema::Loss> loss;  ///< that it was trained with; nullopt where nothing says
  bool others = false;  ///< another program's file, described by transformers' config.json
  int64_t epoch = 0;
  int64_t step = 0;
  std::map<std::string, double> metrics;  ///< of the validation at that epoch
};

/// Writes FOLDER/NAME.safetensors with the model's tensors under their own names, and NAME.json.
/// Throws Error (kFailed).
void write_weights(const std::filesystem::path& folder, const std::string& name,
                   const model::Model& model, const Carried& carried);

/// What exp's own checkpoint carries, or what transformers' config.json beside `file` says of it;
/// nullopt for any other file of another program. Throws Error (kData) for damaged metadata.
std::optional<Carried> carried_of(const checkpoint::Archive& archive,
                                  const std::filesystem::path& file);
std::optional<Carried> read_carried(const std::filesystem::path& file);

/// The JSON that stands in a checkpoint's metadata, there and back.
std::string carried_text(const Carried& carried);
Carried parse_carried(const std::string& text);

/// Sets pos_frames, where it is 0, to what the time positions in the file cover: PaSST's are never
/// fitted to an input, which takes the first of them.
void take_positions(schema::ModelOptions& options, const checkpoint::Archive& archive);

/// The weights' file that a stage input means: FOLDER/PART.safetensors of a stage, the one
/// checkpoint of another folder (a bundle, transformers' or one of shards: checkpoint_in), or the
/// file itself. Throws Error (kData) when there is none (`average` without averaging).
std::filesystem::path weights_path(const std::filesystem::path& path, const std::string& part);

}  // namespace xp::load
