#include "core/train/clip_task.h"

#include <algorithm>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "core/dist/group.h"
#include "core/frontend/spec_mixup.h"

namespace xp::train {

void ClipTask::take(const data::Batch& batch, const Place& place) {
  place_ = place;
  rows_ = batch.rows;
  first_ = batch.first;
  total_ = batch.total;
  begun_ = false;
  mix_.reset();
  positions_.clear();
  for (int64_t i = 0; i < batch.size; ++i) positions_.push_back(batch.position + i);
  spectrograms_ = {at::zeros({0, setup_.frontend->bins(), 1},
                             at::TensorOptions(setup_.device).dtype(at::kFloat)),
                   {}};
  const bool over_ranks = setup_.group != nullptr && setup_.spec_mix_alpha > 0;
  if (batch.size > 0) {
    const frontend::DrawKey key{setup_.seed, static_cast<uint64_t>(batch.epoch),
                                static_cast<uint64_t>(batch.step),
                                static_cast<uint64_t>(batch.position)};
    const frontend::Waves waves = batches::waves_of(batch, setup_.device);
    frontend::Draws draws = setup_.frontend->draw(key, waves);
    if (over_ranks) draws.mix.reset();  // its partners would be this rank's clips
    spectrograms_ = setup_.frontend->forward(waves, &draws);
    mix_ = std::move(draws.mix);
  }
  if (over_ranks) mix_over_ranks(batch);
}

/// As the front end mixes the clips of one rank: partners are drawn among the clips of all.
void ClipTask::mix_over_ranks(const data::Batch& batch) {
  mix_first_ = batch.position - first_;
  mix_ = frontend::draw_spec_mix(batch.total, setup_.spec_mix_alpha, setup_.seed,
                                 static_cast<uint64_t>(batch.epoch),
                                 static_cast<uint64_t>(batch.first));
  const at::Tensor frames = setup_.group->gather_rows(at::tensor(spectrograms_.frames, at::kLong));
  const auto* all = frames.const_data_ptr<int64_t>();
  const int64_t widest = *std::max_element(all, all + frames.numel());
  at::Tensor& mel = spectrograms_.mel;
  if (mel.size(2) < widest)
    mel = at::constant_pad_nd(mel, {0, widest - mel.size(2)}, setup_.frontend->padding());
  mel = mixed(mel);
  for (size_t i = 0; i < spectrograms_.frames.size(); ++i) {
    const int64_t partner = mix_->partner[static_cast<size_t>(mix_first_) + i];
    spectrograms_.frames[i] = std::max(spectrograms_.frames[i], all[partner]);
  }
}

at::Tensor ClipTask::mixed(const at::Tensor& rows) const {
  if (setup_.group == nullptr) return frontend::mix_rows(rows, *mix_);
  return frontend::mix_rows(rows, setup_.group->gather_rows(rows), *mix_, mix_first_);
}

model::Input ClipTask::input(int64_t first, int64_t count) const {
  model::DrawKey draws;
  draws.seed = setup_.seed;
  draws.epoch = static_cast<uint64_t>(place_.epoch);
  draws.step = static_cast<uint64_t>(place_.step);
  if (count == 0) {
    draws.positions = {0};
    return {frontend::Spectrograms::whole(at::zeros({1, spectrograms_.mel.size(1), setup_.frames},
                                                    spectrograms_.mel.options())),
            draws};
  }
  draws.positions = {positions_.begin() + first, positions_.begin() + first + count};
  return {spectrograms_.narrow(first, count), draws};
}

/// Null where the clips of a pass are one group, all of it on this rank.
std::unique_ptr<model::NormGroups> ClipTask::norm_groups(int64_t first, int64_t count) {
  const int64_t size = setup_.norm_group;
  const bool whole = setup_.group == nullptr && setup_.train.norm_batch == 0;
  if (size == 0 || whole) return nullptr;
  auto groups = std::make_unique<model::NormGroups>();
  groups->count = (total_ + size - 1) / size;
  groups->first = !std::exchange(begun_, true);
  for (int64_t i = first; i < first + count; ++i)
    groups->of_clip.push_back((positions_[static_cast<size_t>(i)] - first_) / size);
  if (count == 0) groups->of_clip = {groups->count};
  if (setup_.group != nullptr)
    groups->sum = [group = setup_.group](const at::Tensor& mine) {
      return dist::differentiable_sum(*group, mine);
    };
  return groups;
}

ClipTask::TrainingPass ClipTask::training_pass(int64_t first, int64_t count) {
  TrainingPass made;
  made.groups = norm_groups(first, count);
  made.pass.training = true;
  made.pass.activation_checkpointing = setup_.train.activation_checkpointing;
  made.pass.norm_groups = made.groups.get();
  return made;
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
  first_ = positions_.front() / setup_.train.batch_size * setup_.train.batch_size;
  total_ = positions_.back() - first_ + 1;
  begun_ = false;
}

}  // namespace xp::train
