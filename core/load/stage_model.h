#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/load/weights_file.h"
#include "core/model/model.h"
#include "core/schema/reductions.h"

namespace xp::graph {
struct StageContext;
struct StageInput;
}  // namespace xp::graph

namespace xp::load {

/// A trained model and what it expects.
struct LoadedModel {
  std::unique_ptr<model::Model> model;
  std::string name;  ///< "student.last", or the file's name
};

/// What stages that read checkpoints were configured with.
struct LoadOptions {
  schema::ModelOptions model;
  schema::FrontendOptions frontend;
  schema::Reductions reductions;
};

/// Builds the model of a checkpoint for the front end's size, or where that leaves it to the clips
/// for the size that it was trained with, whatever clips it is to hear; and loads it onto `device`.
/// Throws Error (kData) when its
/// classes are not those of `clips`.
LoadedModel load_model(const graph::StageInput& input, const LoadOptions& options,
                       const batches::Clips& clips, at::Device device);

/// All checkpoints of role "checkpoint".
std::vector<LoadedModel> load_models(const graph::StageContext& context, const LoadOptions& options,
                                     const batches::Clips& clips, at::Device device);
std::vector<const model::Model*> pointers(const std::vector<LoadedModel>& models);

/// Start values of a model that is to be trained, from the input of role "weights" or "checkpoint":
/// exp's own checkpoints and published ones. A classifier for other classes stays as it was made;
/// one for the same `classes` in another order is put in theirs. Says what it did.
void initialise(model::Model& model, const schema::ModelOptions& options,
                const schema::FrontendOptions& frontend, const ClassList& classes,
                const graph::StageInput& input, const graph::StageContext& context);

/// PaSST's time positions are those of the weights that a training starts from, unless the recipe
/// says how many (model.pos_frames). Throws Error (kUsage) when an input of `frames` has more.
void take_positions(schema::ModelOptions& options, const graph::StageInput& input, int64_t frames);

}  // namespace xp::load
