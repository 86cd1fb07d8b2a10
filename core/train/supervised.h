#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "core/model/model.h"
#include "core/schema/kd.h"
#include "core/train/clip_task.h"
#include "core/train/teacher.h"

namespace xp::train {

/// Training on labels, with a teacher beside them where there is one.
class SupervisedTask final : public ClipTask {
 public:
  /// `teacher`: what `begin` takes the teacher's rows from; null without `kd`, or where the batch
  /// is restored.
  SupervisedTask(Setup setup, const model::Model& model, std::optional<schema::KdOptions> kd,
                 const TeacherLogits* teacher)
      : ClipTask(std::move(setup)), model_(model), kd_(std::move(kd)), teacher_logits_(teacher) {}

  void begin(const data::Batch& batch, const Place& place) override;
  void restore(const State& evidence, const Place& place) override;
  std::vector<std::string> parts() const override;
  Loss loss(int64_t first, int64_t count) override;
  State evidence() const override;

  /// The two halves of `loss`: logits [count, K] float32 of some clips, and what they cost.
  at::Tensor logits(int64_t first, int64_t count);
  Loss loss_of(const at::Tensor& logits, int64_t first, int64_t count) const;

 private:
  const model::Model& model_;
  std::optional<schema::KdOptions> kd_;
  const TeacherLogits* teacher_logits_;
  // The present batch.
  at::Tensor labels_;             // [B, K]
  at::Tensor mask_;               // [B, K] or undefined
  evaluate::SoftTarget teacher_;  // undefined tensors without a teacher
};

}  // namespace xp::train
