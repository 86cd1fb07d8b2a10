#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/schema/train.h"
#include "core/train/loop.h"

namespace xp::dist {
class Group;
}

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
    dist::Group* group = nullptr;  ///< null for one rank
    double spec_mix_alpha = 0;     ///< what the front end draws partners by; 0 = none
    int64_t norm_group = 0;        ///< schema::norm_group
    int64_t frames = 1;            ///< of a clip that stands in
  };

  State evidence() const override;
  /// Takes the batch of an `evidence` again instead of `begin`; the front end and the clips are not
  /// needed for it. Throws Error (kData) when something is not there.
  virtual void restore(const State& evidence, const Place& place);

 protected:
  explicit ClipTask(Setup setup) : setup_(std::move(setup)) {}

  /// Takes the batch's spectrograms, mixed.
  void take(const data::Batch& batch, const Place& place);
  /// Whether what belongs to the spectrograms has to be mixed alike: by every rank, with clips or
  /// without.
  bool mixes() const { return mix_.has_value(); }
  /// Rows of the batch's clips [B, ...], mixed with those of their partners, on whatever rank.
  at::Tensor mixed(const at::Tensor& rows) const;
  /// What the model gets of some clips; of none, one clip of silence.
  model::Input input(int64_t first, int64_t count) const;
  /// A forward pass in training, and the groups of batch norm that it points to.
  struct TrainingPass {
    model::Pass pass;
    std::unique_ptr<model::NormGroups> groups;
  };
  TrainingPass training_pass(int64_t first, int64_t count);

  Setup setup_;

 private:
  void mix_over_ranks(const data::Batch& batch);
  std::unique_ptr<model::NormGroups> norm_groups(int64_t first, int64_t count);

  Place place_;
  int64_t first_ = 0;                     // position of the first clip of all ranks
  int64_t total_ = 0;                     // clips of all ranks
  bool begun_ = false;                    // a pass of this batch was made
  std::optional<frontend::SpecMix> mix_;  // of all ranks' clips
  int64_t mix_first_ = 0;                 // the first of them that is this rank's
  std::vector<int64_t> rows_;
  std::vector<int64_t> positions_;
  frontend::Spectrograms spectrograms_;
};

}  // namespace xp::train
