#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/train/loop.h"
#include "core/train/source.h"
#include "core/train/teacher.h"

namespace xp::train {

/// Training on labels, with a teacher beside them where there is one.
class SupervisedTask final : public Task {
 public:
  struct Setup {
    const model::Model* model = nullptr;
    const frontend::Frontend* frontend = nullptr;
    const TeacherLogits* teacher = nullptr;  ///< null without distillation
    std::optional<schema::KdOptions> kd;
    schema::TrainOptions train;
    Clips clips;
    std::vector<uint32_t> rows;
    uint64_t seed = 0;
    at::Device device = at::kCPU;
  };
  explicit SupervisedTask(Setup setup) : setup_(std::move(setup)) {}

  void begin(const data::Batch& batch, const Place& place) override;
  Loss loss(int64_t first, int64_t count) override;
  State evidence() const override;

 private:
  Setup setup_;
  // The present batch.
  Place place_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> positions_;
  at::Tensor mel_;      // [B, F, T]
  at::Tensor labels_;   // [B, K]
  at::Tensor mask_;     // [B, K] or undefined
  SoftTarget teacher_;  // undefined tensors without a teacher
};

/// Ids of clips, joined by blanks: for messages.
std::string join_ids(const Clips& clips, const std::vector<uint32_t>& rows,
                     const std::vector<int64_t>& which);

}  // namespace xp::train
