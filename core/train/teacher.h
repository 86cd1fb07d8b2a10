#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/evaluate/loss.h"
#include "core/schema/kd.h"
#include "core/train/teacher_rows.h"
#include "data/loader.h"

namespace xp::train {

/// A teacher's stored logits for the clips of a training split, found by clip id: a teach stage's
/// logits.h5, or EfficientAT's and Faster_Audio_Transformers' NAME.npy [N, K] with a dict of id ->
/// row (.pkl, or .csv with `id,row`). Their ids are the bare YouTube ids: text after the first `Y`
/// of the name, no extension.
class TeacherLogits {
 public:
  /// Throws Error (kData) as read_teacher_bank and match_teacher_rows do, and with on_missing
  /// "error" naming the first clip without a row and how many lack one.
  TeacherLogits(const std::filesystem::path& logits, const std::filesystem::path& index,
                const schema::KdOptions& options, const batches::Clips& clips,
                const std::vector<uint32_t>& rows);

  /// The soft target of a batch: both rows of a mixed clip unless kd.mix_teacher is off. With
  /// on_missing "label" a clip's own labels stand in for a missing row.
  evaluate::SoftTarget target(const data::Batch& batch, at::Device device) const;

  // logits_ is a view of the bank's values, which move with it.
  TeacherLogits(TeacherLogits&&) = default;
  TeacherLogits& operator=(TeacherLogits&&) = default;

  int64_t missing() const { return found_.missing; }
  /// What looks wrong with the rows and may be right.
  const std::vector<std::string>& warnings() const { return found_.warnings; }
  /// "teacher NAME: logits of 120 clips, mAP 0.47, acc 0.81 against the labels": for the log.
  /// Ranks the clips: a second on a large set.
  std::string description() const;

 private:
  evaluate::SoftTarget gather(std::span<const int64_t> rows, at::Device device) const;

  at::Tensor labels_of(std::span<const int64_t> rows) const;

  schema::KdOptions options_;
  batches::Clips clips_;
  std::vector<uint32_t> rows_;
  TeacherBank bank_;
  TeacherRows found_;
  at::Tensor logits_;  // [N, K] float32 on the CPU, of the bank
};

}  // namespace xp::train
