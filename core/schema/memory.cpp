#include "core/schema/memory.h"

#include <algorithm>

#include "core/schema/cnn.h"
#include "core/schema/cost.h"
#include "core/schema/geometry.h"

namespace xp::schema {
namespace {

constexpr uint64_t kFloat = 4;
constexpr int64_t kKeptOfABlock = 16;  // values a token and unit of width, see the header

int64_t parameters_of(const ModelOptions& model, const Geometry& input, int64_t classes) {
  const Family family = model.resolved().family;
  if (is_transformer(family)) return transformer_cost(model, {}, input, classes).parameters;
  return std::max(cnn_cost(model, input, classes).parameters,
                  pool_cost(model, input, classes).parameters);
}

// Copies of the parameters that stay for the whole training.
uint64_t copies(const TrainStageOptions& options) {
  uint64_t out = 2;  // weights and gradients
  const OptimiserOptions& optimiser = options.optimiser;
  if (optimiser.kind == OptimiserKind::kSgd) {
    out += optimiser.momentum > 0 ? 1 : 0;
  } else {
    out += 2;
  }
  return out + (options.averaging.kind == AveragingKind::kNone ? 0 : 1);
}

uint64_t bytes_of_clip(const TrainStageOptions& options, const Geometry& input) {
  const Arch arch = options.model.resolved();
  if (!is_transformer(arch.family) || input.T == 0) return 0;
  const Grid grid = patch_grid(options.model, input);
  const int64_t patches =
      options.patchout ? after_patchout(*options.patchout, grid).patches : grid.count();
  const int64_t special = options.model.token_count();
  int64_t kept = 0, most = 0, block = 0;
  for (const BlockTokens& one : token_plan(options, arch, patches + special, special)) {
    if (block++ < options.model.freeze_blocks) continue;
    kept += one.attended;
    most = std::max(most, one.attended);
  }
  const int64_t values =
      options.train.activation_checkpointing ? kept + kKeptOfABlock * most : kKeptOfABlock * kept;
  const uint64_t bytes = options.train.precision == Precision::kFp32 ? kFloat : kFloat / 2;
  return bytes * static_cast<uint64_t>(values * arch.dim);
}

}  // namespace

TrainingMemory training_memory(const TrainStageOptions& options, int64_t micro_batch,
                               int64_t devices, int64_t classes) {
  const Geometry input = input_geometry(options.frontend);
  TrainingMemory out;
  out.parameters = parameters_of(options.model, input, classes);
  // Frozen blocks have neither gradients nor moments; which share they are is not counted.
  const uint64_t of_each = options.model.freeze_blocks > 0 ? 1 : copies(options);
  out.state_bytes = of_each * kFloat * static_cast<uint64_t>(out.parameters);
  const int64_t micro = micro_batch > 0 ? micro_batch : options.train.micro_batch;
  const int64_t batch = options.train.batch_size;
  out.clips = micro > 0 ? std::min(batch, micro * devices) : batch;
  out.clip_bytes = bytes_of_clip(options, input);
  return out;
}

}  // namespace xp::schema
