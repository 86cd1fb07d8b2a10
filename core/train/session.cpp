#include "core/train/session.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/checkpoint/archive.h"
#include "core/dist/group.h"
#include "core/graph/stage.h"
#include "core/model/import.h"
#include "core/model/registry.h"
#include "core/recipe/options.h"
#include "core/schema/frontend_difference.h"
#include "core/schema/weights_sources.h"
#include "core/train/open_model.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;

std::string input_name(const graph::StageInput& input) {
  if (input.stage.empty()) return input.path.filename().string();
  return input.stage + (input.part.empty() || input.part == "output" ? "" : "." + input.part);
}

void check_classes(const Carried& carried, const Clips& clips, const std::string& name) {
  const auto ours = clips.class_list();
  if (carried.classes.size() != ours.size())
    throw Error(fmt::format("{} knows {} classes, the data set has {}", name,
                            carried.classes.size(), ours.size()),
                Exit::kData);
  for (size_t k = 0; k < ours.size(); ++k)
    if (carried.classes[k].first != ours[k].first)
      throw Error(fmt::format("class {} of {} is {}, of the data set {}", k, name,
                              carried.classes[k].first, ours[k].first),
                  Exit::kData);
}

}  // namespace

int Session::rank() const { return group == nullptr ? 0 : group->rank(); }
int Session::world() const { return group == nullptr ? 1 : group->size(); }

Session single_session(const graph::StageContext& context, int64_t workers) {
  Session session;
  const auto& resources = context.resources;
  session.device = find_device(resources.devices.empty() ? "" : resources.devices.front());
  session.threads =
      share_threads(resources.threads, resources.workers > 0 ? resources.workers : workers);
  prepare_device(session.device, session.threads.compute);
  return session;
}

void throw_if_stopped(const graph::StageContext& context) {
  const StopReason reason = context.stop_requested();
  if (reason != StopReason::kNone) throw Stopped(reason);
}

namespace {

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

}  // namespace

LoadedModel load_model(const graph::StageInput& input, const LoadOptions& options,
                       const Clips& clips, InputSize size, at::Device device) {
  const fs::path file = file_of(input);
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  LoadedModel loaded;
  loaded.name = input_name(input);
  // A checkpoint of exp says what it is; of another program's the recipe does.
  const std::optional<Carried> carried = carried_of(archive, file);
  if (carried) check_classes(*carried, clips, loaded.name);
  loaded.model = model::make_model(carried ? carried->model : options.model, options.tome, nullptr,
                                   {size.bins, size.frames}, clips.classes(), 0, /*draw=*/false);
  model::ImportOptions import;
  import.strict = options.model.strict;
  const model::ImportReport report = model::load_weights(*loaded.model, archive, file, import);
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
                                     const Clips& clips, InputSize size, at::Device device) {
  std::vector<LoadedModel> models;
  for (const graph::StageInput* input : context.inputs_of("checkpoint"))
    models.push_back(load_model(*input, options, clips, size, device));
  if (models.empty()) throw Error("the stage has no checkpoint");
  return models;
}

std::vector<const model::Model*> pointers(const std::vector<LoadedModel>& models) {
  std::vector<const model::Model*> list;
  for (const LoadedModel& loaded : models) list.push_back(loaded.model.get());
  return list;
}

void initialise(model::Model& model, const schema::ModelOptions& options,
                const schema::FrontendOptions& frontend, const graph::StageInput& input,
                const graph::StageContext& context) {
  const fs::path file = file_of(input);
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  if (const std::optional<Carried> carried = carried_of(archive, file)) {
    if (const auto difference = schema::frontend_difference(carried->frontend, frontend)) {
      const std::string text =
          fmt::format("{} was trained with {} = {} (here {})", input_name(input), difference->key,
                      difference->theirs, difference->ours);
      if (options.frontend_mismatch == schema::OnMismatch::kError)
        throw Error(text + "; model.frontend_mismatch = \"warn\" goes on", Exit::kUsage);
      context.say("WARNING: " + text);
    }
  }
  model::ImportOptions import;
  import.strict = options.strict;
  const model::ImportReport report = model::load_weights(model, archive, file, import);
  context.say(fmt::format("starts from {}: {}", input_name(input), report.line()));
}

int64_t evaluation_batch(int64_t wanted, at::Device device) {
  if (wanted > 0) return wanted;
  return device.is_cpu() ? 16 : 64;
}

}  // namespace xp::train
