#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/evaluate/predict.h"
#include "core/model/masked.h"
#include "core/schema/pretrain.h"
#include "core/train/clip_task.h"

namespace xp::train {

/// SSAST's masked patch modelling (`src/traintest_mask.py`): joint = NCE + generative_factor * MSE,
/// each from a forward pass of its own with fresh masks. Labels are not read.
class PretrainTask final : public ClipTask {
 public:
  PretrainTask(Setup setup, const model::MaskedTrunk& model, const schema::PretrainOptions& options)
      : ClipTask(std::move(setup)), model_(model), options_(options) {}

  void begin(const data::Batch& batch, const Place& place) override;
  std::vector<std::string> parts() const override;
  Loss loss(int64_t first, int64_t count) override;

  /// Loss, masked accuracy ("acc") and reconstruction error ("loss_mse") over `rows`, with the same
  /// masks at every validation.
  std::map<std::string, double> validate(const std::vector<uint32_t>& rows,
                                         const schema::FrontendOptions& frontend,
                                         const evaluate::PredictOptions& how) const;

 private:
  /// Losses [B] of pass `number`.
  model::MaskedLosses losses(const model::Input& input, const model::Pass& pass,
                             int64_t number) const;

  const model::MaskedTrunk& model_;
  schema::PretrainOptions options_;
};

}  // namespace xp::train
