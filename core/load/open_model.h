#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <c10/core/Device.h>

#include "core/load/weights_file.h"
#include "core/model/files/import.h"
#include "core/model/model.h"
#include "core/schema/frontend.h"
#include "core/schema/model.h"
#include "core/schema/reductions.h"
#include "core/schema/weights.h"

namespace xp::load {

/// What a command was told beside the checkpoint.
struct OpenOptions {
  std::string arch;               ///< of a file that neither exp wrote nor the table knows
  int64_t frames = 0;             ///< of the input instead of the checkpoint's; 0 = its own
  int64_t fstride = 0;            ///< with `arch` alone; 0 = the architecture's
  int64_t tstride = 0;            ///< with `arch` alone
  bool strict = true;             ///< model.strict
  std::vector<std::string> set;   ///< "model.KEY=VALUE", "frontend.KEY=VALUE" of a file that does
                                  ///< not say them (core/schema/adjust.h)
  schema::Reductions reductions;  ///< at inference
  /// CSV (index, mid, display_name) with the names of the classes: found by id where the checkpoint
  /// has ids, else by their order. Empty = the checkpoint's own.
  std::filesystem::path labels;
};

/// A model ready for evaluation, and what it hears and says.
struct OpenModel {
  std::unique_ptr<model::Model> model;
  schema::ModelOptions options;
  schema::FrontendOptions frontend;
  model::Geometry geometry;
  ClassList classes;                 ///< ids and names "0", "1", ... where nothing says
  std::optional<schema::Loss> loss;  ///< that it was trained with; nullopt where nothing says
  std::string name;                  ///< the published name, or the file's
  std::filesystem::path folder;      ///< of a checkpoint that exp wrote; empty for others' files
  model::ImportReport report;        ///< what became of the tensors
  std::vector<std::string> notes;  ///< what was taken for granted, or has no use here: a line each
};

/// Opens a checkpoint for `exp predict`, `embed`, `import` and `export`. `what` is a checkpoint of
/// exp (.safetensors), a folder with one (a stage's, of which it is the last weights, a bundle, one
/// of shards), the name of published weights (fetched before), or any file of the originals: `arch`
/// says what it is, or, without, its published namesake by file name. On the CPU, without
/// gradients. Throws Error naming what is missing, and (kUsage) for options that have no effect on
/// it.
OpenModel open_model(const std::string& what, const OpenOptions& options);

/// What a checkpoint of this model carries.
Carried carried_by(const OpenModel& open);

/// Throws Error for a model without classifier, or with one that its file did not hold: the scores
/// would mean nothing.
void require_classifier(const OpenModel& open);

/// Samples of the longest clip that the model hears whole: what the front end keeps, and what has
/// positions. nullopt: it hears clips of any length.
std::optional<int64_t> heard_samples(const OpenModel& open);

/// The grid of position embeddings that published weights were trained with; nullopt where they
/// have no such list: images (whose grid is a square), PaSST and CNNs.
std::optional<schema::Grid> published_grid(const schema::PublishedWeights& weights);

/// Where published weights should be. Throws Error (kData) with the address and the path when they
/// are not there.
std::filesystem::path published_file(const std::string& name);

}  // namespace xp::load
