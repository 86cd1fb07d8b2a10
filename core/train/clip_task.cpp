#include "core/train/clip_task.h"

#include <span>
#include <string>

#include <ATen/ATen.h>

namespace xp::train {

std::optional<frontend::Draws> ClipTask::take(const data::Batch& batch, const Place& place) {
  place_ = place;
  rows_ = batch.rows;
  positions_.clear();
  for (int64_t i = 0; i < batch.size; ++i) positions_.push_back(batch.position + i);
  if (batch.size == 0) return std::nullopt;
  const frontend::DrawKey key{setup_.seed, static_cast<uint64_t>(batch.epoch),
                              static_cast<uint64_t>(batch.step),
                              static_cast<uint64_t>(batch.position)};
  frontend::Draws draws = setup_.frontend->draw(key, batch.size, batch.samples);
  mel_ = setup_.frontend->forward(waves_of(batch, setup_.device), batch.lengths, &draws);
  return draws;
}

model::ForwardContext ClipTask::forward_context(int64_t first, int64_t count) const {
  model::ForwardContext context;
  context.training = true;
  context.seed = setup_.seed;
  context.epoch = static_cast<uint64_t>(place_.epoch);
  context.step = static_cast<uint64_t>(place_.step);
  context.positions = std::span<const int64_t>(positions_)
                          .subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  context.activation_checkpointing = setup_.train.activation_checkpointing;
  return context;
}

State ClipTask::evidence() const {
  State state;
  state.tensors["mel"] = mel_;
  state.tensors["positions"] = at::tensor(positions_, at::kLong);
  std::string ids;
  for (const int64_t row : rows_) {
    if (!ids.empty()) ids += ' ';
    ids += setup_.clips.shards->id(setup_.rows[static_cast<size_t>(row)]);
  }
  state.facts["clips"] = ids;
  state.facts["seed"] = static_cast<int64_t>(setup_.seed);
  return state;
}

void ClipTask::restore(const State& evidence, const Place& place) {
  place_ = place;
  mel_ = evidence.tensor("mel");
  const at::Tensor& stored = evidence.tensor("positions");
  positions_.assign(stored.data_ptr<int64_t>(), stored.data_ptr<int64_t>() + stored.numel());
}

}  // namespace xp::train
