#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/schema/train.h"
#include "core/train/loop.h"
#include "core/train/source.h"

namespace xp::train {

/// What every task on prepared clips shares: the spectrograms of the present batch, and where the
/// draws of each clip stand.
class ClipTask : public Task {
 public:
  struct Setup {
    const frontend::Frontend* frontend = nullptr;
    schema::TrainOptions train;
    Clips clips;
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
  /// The spectrograms [count, F, T] of some clips.
  at::Tensor mel(int64_t first, int64_t count) const { return mel_.narrow(0, first, count); }
  /// Of a forward pass over these clips in training.
  model::ForwardContext forward_context(int64_t first, int64_t count) const;

  Setup setup_;

 private:
  Place place_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> positions_;
  at::Tensor mel_;  // [B, F, T]
};

}  // namespace xp::train
