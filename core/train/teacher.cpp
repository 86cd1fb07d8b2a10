#include "core/train/teacher.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/frontend/to_device.h"

namespace xp::train {

using frontend::to_device;

TeacherLogits::TeacherLogits(const std::filesystem::path& logits,
                             const std::filesystem::path& index, const schema::KdOptions& options,
                             const batches::Clips& clips, const std::vector<uint32_t>& rows)
    : options_(options), clips_(clips), rows_(rows) {
  bank_ = read_teacher_bank(logits, index);
  found_ = match_teacher_rows(bank_, clips, rows);
  if (missing() > 0 && options_.on_missing == schema::OnMissing::kError)
    throw Error(fmt::format("clip {} has no teacher logits in {} ({} of {} clips lack them); "
                            "kd.on_missing = \"zero\" or \"label\" goes on without",
                            found_.first_missing, logits.string(), missing(), rows.size()),
                Exit::kData);
  logits_ = at::from_blob(bank_.values.data(), {bank_.rows, bank_.classes}, at::kFloat);
}

std::string TeacherLogits::description() const {
  return bank_.description + score_teacher_rows(bank_, found_, clips_, rows_);
}

/// Labels [n, K] of those rows of the split that have no logits, 0 in all others.
at::Tensor TeacherLogits::labels_of(std::span<const int64_t> rows) const {
  at::Tensor labels = at::zeros({static_cast<int64_t>(rows.size()), clips_.classes()});
  const data::LabelTable table = clips_.shards->labels();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || found_.row_of[static_cast<size_t>(rows[i])] >= 0) continue;
    const uint32_t clip = rows_[static_cast<size_t>(rows[i])];
    float* out = labels.data_ptr<float>() + static_cast<int64_t>(i) * clips_.classes();
    for (uint64_t at = table.start[clip]; at < table.start[clip + 1]; ++at)
      out[table.index[at]] = table.value[at];
  }
  return labels;
}

evaluate::SoftTarget TeacherLogits::gather(std::span<const int64_t> rows, at::Device device) const {
  std::vector<int64_t> index;
  std::vector<float> present;
  for (const int64_t row : rows) {
    const int64_t bank_row = row < 0 ? -1 : found_.row_of[static_cast<size_t>(row)];
    index.push_back(std::max<int64_t>(0, bank_row));
    present.push_back(bank_row < 0 ? 0.0F : 1.0F);
  }
  const at::Tensor picked = logits_.index_select(0, at::tensor(index, at::kLong));
  evaluate::SoftTarget target = evaluate::soft_target(
      to_device(picked, device), to_device(at::tensor(present), device), options_);
  if (options_.on_missing != schema::OnMissing::kLabel || missing() == 0) return target;
  target.probability = target.probability + to_device(labels_of(rows), device);
  // No partner (row -1) is none that lacks logits.
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] >= 0) present[i] = 1;
  target.weight = to_device(at::tensor(present), device);
  return target;
}

evaluate::SoftTarget TeacherLogits::target(const data::Batch& batch, at::Device device) const {
  evaluate::SoftTarget target = gather(batch.rows, device);
  if (options_.mix_teacher) {
    // A clip without a partner has weight 1; its partner row -1 counts nothing.
    const at::Tensor weight = to_device(at::tensor(std::vector<float>(batch.mix)), device);
    target = evaluate::mix(target, gather(batch.partner_rows, device), weight);
  }
  return target;
}

}  // namespace xp::train
