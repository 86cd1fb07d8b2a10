#include "core/train/fit.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/dist/group.h"
#include "core/evaluate/evaluation.h"
#include "core/graph/stage.h"
#include "core/metric/metrics.h"
#include "core/schema/norm_group.h"
#include "core/train/averaging.h"
#include "core/train/batch_norm.h"
#include "core/train/hooks.h"
#include "tracker/run_sink.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;
using Metrics = std::map<std::string, double>;

bool keeps(const schema::TrainOptions& train, const char* what) {
  return std::find(train.keep.begin(), train.keep.end(), what) != train.keep.end();
}

std::vector<std::pair<std::string, at::Tensor>> state_tensors(const model::Model& model) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const model::NamedTensor& named : model.state())
    tensors.emplace_back(named.name, named.tensor.detach());
  return tensors;
}

/// Writes the weights as they are now.
void write(const Fit& fit, const Loop& loop, const std::string& name, const Metrics& metrics,
           const graph::StageContext& context) {
  load::Carried carried = fit.carried;
  carried.epoch = loop.epoch();
  carried.step = loop.step();
  carried.metrics = metrics;
  load::write_weights(context.output, name, *fit.model, carried);
}

/// Weights of every epoch, where train.keep lists "epochs".
class EpochWeights final : public Hook {
 public:
  EpochWeights(const Fit& fit, const ValidateHook& validation)
      : fit_(fit), validation_(validation) {}
  std::string name() const override { return "epoch_weights"; }
  void after_epoch(Loop& loop) override {
    if (loop.first_rank())
      write(fit_, loop, fmt::format("epoch-{:04}", loop.epoch()), validation_.last(),
            loop.context());
  }

 private:
  const Fit& fit_;
  const ValidateHook& validation_;
};

/// A full state has no class ids; the weights beside it have.
void check_classes_of_state(const fs::path& folder, const load::ClassList& classes) {
  const fs::path weights = folder / "last.safetensors";
  if (!fs::exists(weights)) return;
  if (const std::optional<load::Carried> carried = load::read_carried(weights))
    load::require_same_classes(carried->classes, classes, "train.start_from: " + folder.string());
}

/// Goes on from this stage's newest checkpoint, or takes over another training's last state.
void restore(Loop& loop, const load::ClassList& classes, const graph::StageContext& context) {
  const auto warn = [&](std::string_view text) {
    if (loop.first_rank()) context.say("WARNING: " + std::string(text));
  };
  if (const auto own = CheckpointFolder(context.output).load(warn)) {
    loop.load(own->states);
    if (loop.first_rank()) context.say(fmt::format("goes on from step {}", own->step));
    return;
  }
  const graph::StageInput* start = context.find_input("start_from");
  if (start == nullptr) return;
  const fs::path folder = fs::is_directory(start->path) ? start->path : start->path.parent_path();
  const auto other = CheckpointFolder(folder).load(warn);
  if (!other)
    throw Error(fmt::format("train.start_from: {} holds no full training state", folder.string()),
                Exit::kData);
  check_classes_of_state(folder, classes);
  loop.load(other->states);
  if (loop.epoch() >= loop.epochs())
    throw Error(
        fmt::format("train.start_from: that training has {} epochs already; train.epochs = {} "
                    "has to be more",
                    loop.epoch(), loop.epochs()));
  if (loop.first_rank())
    context.say(fmt::format("trains on from epoch {} (step {})", loop.epoch(), loop.step()));
}

/// `.average`: batch norm re-estimated with the averaged weights in place, which are then put back.
void write_average(const Fit& fit, Loop& loop, Averaging& averaging, graph::StageContext& context,
                   const dist::Session& session) {
  if (averaging.count() == 0)
    throw Error(
        fmt::format("[averaging] took no weights in {} epochs: lower first_epoch", loop.epoch()));
  averaging.exchange();
  reestimate_batch_norm(*fit.model, *fit.task, *fit.batches);
  if (session.group != nullptr)
    for (const model::NamedTensor& named : fit.model->buffers()) {
      at::Tensor tensor = named.tensor;
      session.group->broadcast(tensor);
    }
  Metrics metrics;
  if (fit.validate) metrics = fit.validate();
  if (session.rank() == 0) {
    for (const auto& [metric, value] : metrics)
      context.sink->summary("average." + metric, value, metric::unit_of(metric));
    write(fit, loop, "average", metrics, context);
  }
}

void drop(const graph::StageContext& context, const char* name) {
  std::error_code none;
  fs::remove(context.output / fmt::format("{}.safetensors", name), none);
  fs::remove(context.output / fmt::format("{}.json", name), none);
}

}  // namespace

void run_fit(Fit& fit, graph::StageContext& context, const dist::Session& session) {
  LoopOptions options;
  options.train = fit.train;
  options.optimiser = fit.optimiser;
  options.schedule = fit.schedule;
  options.micro_batch =
      context.resources.micro_batch > 0 ? context.resources.micro_batch : fit.train.micro_batch;
  options.norm_group = schema::norm_group(fit.train, fit.carried.model.resolved().family);
  options.evidence = fit.evidence;
  options.evidence["carried"] = load::carried_text(fit.carried);
  if (context.depth == graph::Depth::kCheck) options.stop_after_steps = 1;

  Averaging::Named named;
  for (const Trained& tensor : trained(*fit.model)) named.emplace_back(tensor.name, tensor.tensor);
  Averaging averaging(fit.averaging, named, fit.train.epochs);

  Loop* the_loop = nullptr;
  LogHook log(*context.sink);
  AverageHook average(averaging);
  DivergenceHook divergence;
  ValidateHook validation(
      [&] { return fit.validate ? fit.validate() : Metrics{}; },
      [&](const Metrics& metrics) { write(fit, *the_loop, "best", metrics, context); },
      fit.schedule.kind == schema::ScheduleKind::kPlateau ? fit.schedule.metric : "");
  EpochWeights each(fit, validation);
  std::vector<Hook*> hooks{&log, &average, &divergence, &validation};
  if (keeps(fit.train, "epochs")) hooks.push_back(&each);
  std::optional<ProfileHook> profile;
  if (!context.trace.empty()) {
    profile.emplace(context.trace.string());
    hooks.push_back(&*profile);
  }

  Loop loop(options, state_tensors(*fit.model), trained(*fit.model), fit.model->layers(), *fit.task,
            *fit.batches, hooks, context, session.device, session.group);
  the_loop = &loop;
  restore(loop, fit.carried.classes, context);
  loop.run();

  if (session.rank() == 0) {
    write(fit, loop, "last", validation.last(), context);
    if (validation.best_epoch() == 0) write(fit, loop, "best", validation.last(), context);
  }
  const bool whole = context.depth == graph::Depth::kFull;
  if (averaging.on() && (whole || averaging.count() > 0))
    write_average(fit, loop, averaging, context, session);
  else if (averaging.on() && session.rank() == 0)
    write(fit, loop, "average", validation.last(), context);
  if (session.rank() != 0) return;
  CheckpointFolder(context.output).keep_last();
  nlohmann::json curves(validation.curves());
  write_file_atomic(context.output / "curves.json", curves.dump(1) + "\n");
  if (!keeps(fit.train, "last") && keeps(fit.train, "best")) drop(context, "last");
  if (!keeps(fit.train, "best") && keeps(fit.train, "last")) drop(context, "best");
  for (const auto& [metric, value] : validation.last())
    context.sink->summary("final." + metric, value, metric::unit_of(metric));
  if (validation.best_epoch() > 0)
    context.sink->summary("best_epoch", static_cast<double>(validation.best_epoch()),
                          metric::unit_of("best_epoch"));
  if (!loop.save_problem().empty()) throw Error(loop.save_problem(), Exit::kFailed);
}

}  // namespace xp::train
