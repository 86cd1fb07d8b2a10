#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/frontend/frontend.h"
#include "core/model/masked.h"
#include "core/schema/pretrain.h"
#include "core/train/loop.h"
#include "core/train/predict.h"
#include "core/train/source.h"

namespace xp::train {

/// SSAST's masked patch modelling (`src/traintest_mask.py`): joint = NCE + generative_factor * MSE,
/// each from a forward pass of its own with fresh masks. Labels are not read.
class PretrainTask final : public Task {
 public:
  struct Setup {
    const model::MaskedTrunk* model = nullptr;
    const frontend::Frontend* frontend = nullptr;
    schema::PretrainOptions pretrain;
    schema::TrainOptions train;
    Clips clips;
    std::vector<uint32_t> rows;
    uint64_t seed = 0;
    at::Device device = at::kCPU;
  };
  explicit PretrainTask(Setup setup) : setup_(std::move(setup)) {}

  void begin(const data::Batch& batch, const Place& place) override;
  Loss loss(int64_t first, int64_t count) override;
  State evidence() const override;

  /// Loss, masked accuracy ("acc") and reconstruction error ("loss_mse") over `rows`, with the same
  /// masks at every validation.
  std::map<std::string, double> validate(const std::vector<uint32_t>& rows,
                                         const schema::FrontendOptions& frontend,
                                         const PredictOptions& how) const;

 private:
  model::MaskedLosses pass(const at::Tensor& mel, const model::DrawKey& key, int64_t number,
                           bool training) const;

  Setup setup_;
  Place place_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> positions_;
  at::Tensor mel_;
};

}  // namespace xp::train
