#include "core/run/plan_memory.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/gpu.h"
#include "core/schema/check.h"
#include "core/schema/memory.h"
#include "core/schema/norm_group.h"

namespace xp::run {
namespace {

struct Training {
  std::string stage;
  schema::TrainingMemory memory;
  int64_t devices = 1;
};

// What a node trains; nullopt for one that does not. Of a pretraining what memory depends on.
std::optional<schema::TrainStageOptions> training_of(const graph::Node& node) {
  if (node.built == nullptr) return std::nullopt;
  if (node.kind == "train") return *static_cast<const schema::TrainStageOptions*>(node.built.get());
  if (node.kind != "pretrain") return std::nullopt;
  const auto& options = *static_cast<const schema::PretrainStageOptions*>(node.built.get());
  schema::TrainStageOptions out;
  out.dataset = options.dataset;
  out.frontend = options.frontend;
  out.model = options.model;
  out.train = options.train;
  out.optimiser = options.optimiser;
  out.averaging = options.averaging;
  return out;
}

// What node `i` will train; nullopt where it does not, or is in the cache.
std::optional<schema::TrainStageOptions> to_run(const PlannedRun& planned, size_t i) {
  const graph::State state = planned.plan.steps[i].state;
  const bool runs = state == graph::State::kWillRun || state == graph::State::kResumes;
  return runs ? training_of(planned.plan.graph.nodes[i]) : std::nullopt;
}

std::vector<Training> trainings(const PlannedRun& planned) {
  const graph::Resources& resources = planned.workspace.resources;
  const auto devices = std::max<int64_t>(1, static_cast<int64_t>(resources.devices.size()));
  std::vector<Training> out;
  for (size_t i = 0; i < planned.plan.graph.nodes.size(); ++i) {
    const graph::Node& node = planned.plan.graph.nodes[i];
    const std::optional<schema::TrainStageOptions> options = to_run(planned, i);
    if (!options) continue;
    out.push_back({node.name,
                   schema::training_memory(*options, resources.micro_batch, devices,
                                           schema::known_classes(options->dataset).value_or(0)),
                   devices});
  }
  return out;
}

std::string gigabytes(uint64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) * 1e-9);
}

std::string needs_text(const Training& training) {
  const schema::TrainingMemory& memory = training.memory;
  std::string out =
      fmt::format("{} for {:.2f} M parameters with gradients and optimiser",
                  gigabytes(static_cast<uint64_t>(training.devices) * memory.state_bytes),
                  static_cast<double>(memory.parameters) * 1e-6);
  if (memory.clip_bytes > 0) {
    out += fmt::format(", {} for {} clips at a time",
                       gigabytes(static_cast<uint64_t>(memory.clips) * memory.clip_bytes),
                       memory.clips);
  }
  return out;
}

}  // namespace

std::string memory_text(const PlannedRun& planned) {
  std::string out;
  for (const Training& training : trainings(planned)) {
    out += fmt::format("{} needs at least {} of memory: {}\n", training.stage,
                       gigabytes(training.memory.bytes(training.devices)), needs_text(training));
  }
  return out;
}

void check_memory(const PlannedRun& planned, uint64_t there) {
  if (planned.workspace.any_memory || computes_on_gpu(planned.workspace.resources.devices)) return;
  for (const Training& training : trainings(planned)) {
    const uint64_t needed = training.memory.bytes(training.devices);
    if (needed <= there) continue;
    throw Error(fmt::format(
        "stage {} needs at least {} of memory ({}), and {} are there; a smaller train.micro_batch "
        "or train.activation_checkpointing = true needs less, --any-memory runs it all the same",
        training.stage, gigabytes(needed), needs_text(training), gigabytes(there)));
  }
}

void check_micro_batch(const PlannedRun& planned) {
  const int64_t micro = planned.workspace.resources.micro_batch;
  if (micro <= 0) return;
  for (size_t i = 0; i < planned.plan.graph.nodes.size(); ++i) {
    const graph::Node& node = planned.plan.graph.nodes[i];
    const std::optional<schema::TrainStageOptions> options = to_run(planned, i);
    if (!options) continue;
    const int64_t group = schema::norm_group(options->train, options->model.resolved().family);
    if (micro < group)
      throw Error(fmt::format("stage {}: {}", node.name, schema::split_group_text(micro, group)));
  }
}

}  // namespace xp::run
