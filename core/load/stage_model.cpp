#include "core/load/stage_model.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/graph/stage.h"
#include "core/load/foreign_file.h"
#include "core/load/open_model.h"
#include "core/model/files/class_order.h"
#include "core/model/files/import.h"
#include "core/model/registry.h"
#include "core/recipe/options.h"
#include "core/schema/frontend_difference.h"
#include "core/schema/geometry.h"
#include "core/schema/weights.h"
#include "core/schema/weights_sources.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;

std::string input_name(const graph::StageInput& input) {
  if (input.stage.empty()) return (input.path / "").parent_path().filename().string();
  return input.stage + (input.part.empty() || input.part == "output" ? "" : "." + input.part);
}

/// The input's weights. Published ones that were not fetched are an Error with their address.
fs::path file_of(const graph::StageInput& input) {
  if (!fs::exists(input.path)) {
    for (const schema::WeightsSource& source : schema::weights_sources()) {
      if (schema::weights_file(source) == input.path)
        return published_file(std::string(source.name));
    }
  }
  return weights_path(input.path, input.part);
}

/// Throws Error (kUsage) for a [model] that a file's weights would fit, or nearly, and that
/// computes otherwise.
void check_model(const checkpoint::Archive& archive, const fs::path& file,
                 const schema::ModelOptions* carried, const schema::ModelOptions& ours,
                 const model::Geometry& input) {
  const std::string difference = model_difference(archive, file, carried, ours, input);
  if (!difference.empty() && ours.strict)
    throw Error(difference + "; model.strict = false takes the weights all the same");
}

}  // namespace

/// How a recipe's [model] takes weights.
model::ImportOptions import_options(const schema::ModelOptions& options, int64_t bins,
                                    const graph::StageInput& input,
                                    const std::optional<Carried>& carried) {
  model::ImportOptions import;
  import.strict = options.strict;
  if (carried && carried->others)
    import.grid = schema::patch_grid(carried->model, carried->geometry);
  for (const schema::WeightsSource& source : schema::weights_sources()) {
    if (!import.grid && schema::weights_file(source) == input.path)
      import.grid = published_grid(*schema::find_weights(source.name));
  }
  // A recipe that leaves them as they are need not mean those of a file.
  const schema::ModelOptions plain = schema::ModelOptions::of_kind(options.resolved().family);
  import.bins = bins;
  import.bins_assumed = bins == schema::FrontendOptions().mel_bins;
  import.strides_assumed = options.fstride == plain.fstride && options.tstride == plain.tstride;
  model::take_said_positions(options, import);
  return import;
}

LoadedModel load_model(const graph::StageInput& input, const LoadOptions& options,
                       const batches::Clips& clips, at::Device device) {
  const fs::path file = file_of(input);
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  LoadedModel loaded;
  loaded.name = input_name(input);
  // A checkpoint of exp says what it is; of another program's the recipe does.
  const std::optional<Carried> carried = carried_of(archive, file);
  if (carried && !carried->others)
    require_same_classes(carried->classes, clips.class_list(), loaded.name);
  const auto config = carried ? std::nullopt : model::torchonly_config(archive, file);
  schema::ModelOptions described = carried  ? carried->model
                                   : config ? config->model
                                            : options.model;
  take_positions(described, archive);
  const bool open = schema::input_geometry(options.frontend).T == 0;
  const model::Geometry size =
      open && carried ? carried->geometry : schema::usual_geometry(options.frontend);
  if (config && config->input.F != size.F) {
    throw Error(fmt::format("{} was trained on {} mel bins, frontend.mel_bins is {}", loaded.name,
                            config->input.F, size.F));
  }
  if (!carried && !config) check_model(archive, file, nullptr, options.model, size);
  loaded.model = model::make_model({.options = described,
                                    .geometry = size,
                                    .classes = clips.classes(),
                                    .reductions = options.reductions,
                                    .draw = false});
  described.strict = options.model.strict;
  const model::ImportReport report = model::load_weights(
      *loaded.model, archive, file,
      import_options(config ? described : options.model, size.F, input, carried));
  if (!model::untrained_head(*loaded.model, report).empty()) {
    throw Error(fmt::format("{} has no classifier for the {} classes of the data set", loaded.name,
                            clips.classes()),
                Exit::kData);
  }
  loaded.model->to(device);
  loaded.model->require_grad(false);
  return loaded;
}

std::vector<LoadedModel> load_models(const graph::StageContext& context, const LoadOptions& options,
                                     const batches::Clips& clips, at::Device device) {
  std::vector<LoadedModel> models;
  for (const graph::StageInput* input : context.inputs_of("checkpoint"))
    models.push_back(load_model(*input, options, clips, device));
  if (models.empty()) throw Error("the stage has no checkpoint");
  return models;
}

std::vector<const model::Model*> pointers(const std::vector<LoadedModel>& models) {
  std::vector<const model::Model*> list;
  for (const LoadedModel& loaded : models) list.push_back(loaded.model.get());
  return list;
}

namespace {

/// A classifier that was trained on as many classes, but on others or in another order, is put in
/// `ours` by class id, or starts anew. Returns what was done, "" for nothing.
std::string fit_classifier(model::Model& model, const ClassList& theirs, const ClassList& ours,
                           const std::vector<at::Tensor>& start_values) {
  if (theirs.size() != ours.size() || model.classes() == 0) return "";
  const auto places = places_by_id(ours, theirs);
  if (places && std::is_sorted(places->begin(), places->end())) return "";
  if (places) {
    model::reorder_classes(model, *places);
    return fmt::format("; its {} classes are in another order: put in ours by their ids",
                       theirs.size());
  }
  if (!says_ids(theirs)) return "; it does not say its classes: taken in the order of ours";
  const std::vector<model::NamedTensor> classifier = model::class_tensors(model);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < classifier.size(); ++i) classifier[i].tensor.copy_(start_values[i]);
  return fmt::format("; its {} classes are others ('{}' is not among them): the classifier is new",
                     theirs.size(), first_absent(ours, theirs));
}

}  // namespace

void initialise(model::Model& model, const schema::ModelOptions& options,
                const schema::FrontendOptions& frontend, const ClassList& classes,
                const graph::StageInput& input, const graph::StageContext& context) {
  const fs::path file = file_of(input);
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  const std::optional<Carried> carried = carried_of(archive, file);
  check_model(archive, file, carried ? &carried->model : nullptr, options,
              {frontend.mel_bins, frontend.frames});
  if (carried) {
    if (const auto difference = schema::frontend_difference(carried->frontend, frontend)) {
      const std::string text =
          fmt::format("{} was trained with {} = {} (here {})", input_name(input), difference->key,
                      difference->theirs, difference->ours);
      if (options.frontend_mismatch == schema::OnMismatch::kError)
        throw Error(text + "; model.frontend_mismatch = \"warn\" goes on", Exit::kUsage);
      context.say("WARNING: " + text);
    }
  }
  std::vector<at::Tensor> start_values;
  if (carried && model.classes() > 0) {
    for (const model::NamedTensor& named : model::class_tensors(model))
      start_values.push_back(named.tensor.detach().clone());
  }
  const model::ImportReport report = model::load_weights(
      model, archive, file, import_options(options, frontend.mel_bins, input, carried));
  std::string text = report.line();
  if (carried) text += fit_classifier(model, carried->classes, classes, start_values);
  context.say(fmt::format("starts from {}: {}", input_name(input), text));
}

void take_positions(schema::ModelOptions& options, const graph::StageInput& input, int64_t frames) {
  if (options.resolved().family != schema::Family::k_passt || options.pos_frames > 0) return;
  take_positions(options, checkpoint::Archive::open(file_of(input)));
  const int64_t there = options.pos_frames / schema::strides(options).t;
  const int64_t wanted = schema::patch_grid(options, {0, frames}).t;
  if (options.pos_frames == 0 || there >= wanted) return;
  throw Error(
      fmt::format("{} has {} time positions, the input of {} frames has {}: set "
                  "model.pos_frames = {} to stretch them, or = {} to cut the input",
                  input_name(input), there, frames, wanted, frames, options.pos_frames));
}

}  // namespace xp::load
