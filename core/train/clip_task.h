#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/schema/train.h"
#include "core/train/loop.h"

namespace xp::train {

/// What every task on prepared clips shares: the spectrograms of the present batch, and where the
/// draws of each clip stand.
class ClipTask : public Task {
 public:
  struct Setup {
    const frontend::Frontend* frontend = nullptr;
    schema::TrainOptions train;
    batches::Clips clips;
    std::vector<uint32_t> rows;
    uint64_t seed = 0;
    at::Device device = at::kCPU;
  };

  State evidence() const override;
  /// Takes the batch of an `evidence` again instead of `begin`; the front end and the clips are not
  /// needed for it. Throws Error (kData) when something is not there.
  virtual void restore(const State& evidence, const Place& place);

 protected:
  explicit ClipTask(Setup setup) : setup_(std::move(setup)) {}

  /// Takes the batch's spectrograms; returns what was drawn for them, nullopt for a batch without
  /// clips.
  std::optional<frontend::Draws> take(const data::Batch& batch, const Place& place);
  /// What the model gets of some clips.
  model::Input input(int64_t first, int64_t count) const;
  /// A forward pass in training.
  model::Pass training_pass() const;

  Setup setup_;

 private:
  Place place_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> positions_;
  frontend::Spectrograms spectrograms_;
};

}  // namespace xp::train
