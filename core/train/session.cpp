#include "core/train/session.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/dist/group.h"
#include "core/graph/stage.h"
#include "core/model/registry.h"
#include "core/train/archive_io.h"
#include "core/train/state.h"

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

LoadedModel load_model(const graph::StageInput& input, const LoadOptions& options,
                       const Clips& clips, InputSize size, at::Device device) {
  const fs::path file = weights_path(input.path, input.part);
  LoadedModel loaded;
  loaded.name = input_name(input);
  const std::optional<Carried> carried =
      file.extension() == ".safetensors" ? read_carried(file) : std::nullopt;
  const model::Geometry geometry{size.bins, size.frames};
  if (!carried) throw Error(fmt::format("{} was not written by exp", file.string()), Exit::kData);
  check_classes(*carried, clips, loaded.name);
  loaded.model = model::make_model(carried->model, options.tome, nullptr, geometry, clips.classes(),
                                   0, /*draw=*/false);
  load_weights(file, *loaded.model);
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

void initialise(model::Model& model, const schema::ModelOptions&, const graph::StageInput& input,
                const graph::StageContext& context) {
  const fs::path file = weights_path(input.path, input.part);
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  int64_t copied = 0;
  std::string fresh;
  for (const model::NamedTensor& named : model.state()) {
    const checkpoint::Entry* entry = archive.find(named.name);
    const bool fits = entry != nullptr && entry->shape == named.tensor.sizes().vec();
    if (!fits && model.placement(named.name).head) {
      fresh += (fresh.empty() ? "" : ", ") + named.name;
      continue;
    }
    if (!fits)
      throw Error(fmt::format("{}: no tensor '{}' of this size", file.string(), named.name),
                  Exit::kData);
    copy_into(named.tensor, to_tensor(*entry), named.name);
    ++copied;
  }
  context.say(fmt::format("starts from {}: {} tensors{}", input_name(input), copied,
                          fresh.empty() ? "" : "; new: " + fresh));
}

int64_t evaluation_batch(int64_t wanted, at::Device device) {
  if (wanted > 0) return wanted;
  return device.is_cpu() ? 16 : 64;
}

}  // namespace xp::train
