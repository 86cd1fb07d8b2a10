#include "core/train/clip_task.h"

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
  const frontend::Waves waves = batches::waves_of(batch, setup_.device);
  frontend::Draws draws = setup_.frontend->draw(key, waves);
  spectrograms_ = setup_.frontend->forward(waves, &draws);
  return draws;
}

model::Input ClipTask::input(int64_t first, int64_t count) const {
  return {spectrograms_.narrow(first, count),
          {setup_.seed,
           static_cast<uint64_t>(place_.epoch),
           static_cast<uint64_t>(place_.step),
           {positions_.begin() + first, positions_.begin() + first + count}}};
}

model::Pass ClipTask::training_pass() const {
  model::Pass pass;
  pass.training = true;
  pass.activation_checkpointing = setup_.train.activation_checkpointing;
  return pass;
}

State ClipTask::evidence() const {
  State state;
  state.tensors["mel"] = spectrograms_.mel;
  state.tensors["frames"] = at::tensor(spectrograms_.frames, at::kLong);
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
  const auto integers = [&evidence](const char* name) {
    const at::Tensor stored = evidence.tensor(name).contiguous();
    return std::vector<int64_t>(stored.data_ptr<int64_t>(),
                                stored.data_ptr<int64_t>() + stored.numel());
  };
  spectrograms_ = frontend::Spectrograms::whole(evidence.tensor("mel"));
  // Steps that were kept before lengths went along were computed without them.
  if (evidence.tensors.count("frames") > 0) spectrograms_.frames = integers("frames");
  positions_ = integers("positions");
}

}  // namespace xp::train
