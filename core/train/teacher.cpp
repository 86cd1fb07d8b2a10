#include "core/train/teacher.h"

#include <unordered_map>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/id_index.h"
#include "core/train/logits_file.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;

struct Bank {
  std::unordered_map<std::string, int64_t> row_of;
  std::vector<float> values;
  int64_t rows = 0;
  int64_t classes = 0;
  std::vector<std::string> class_ids;  // empty where the file does not say
  std::string description;
};

Bank read_bank(const fs::path& logits, const fs::path& index) {
  Bank bank;
  const fs::path file = fs::is_directory(logits) ? logits / "logits.h5" : logits;
  if (file.extension() == ".npy") {
    if (index.empty())
      throw Error(
          fmt::format("{}: an .npy file needs kd.index, the row of each clip", file.string()));
    Matrix matrix = read_npy(file);
    bank.row_of = read_id_index(index);
    bank.values = std::move(matrix.values);
    bank.rows = matrix.rows;
    bank.classes = matrix.columns;
    bank.description = fmt::format("{}: logits of {} clips", file.filename().string(), bank.rows);
    return bank;
  }
  ScoreFile scores = read_scores(file);
  for (size_t i = 0; i < scores.ids.size(); ++i)
    bank.row_of[scores.ids[i]] = static_cast<int64_t>(i);
  bank.values = std::move(scores.values);
  bank.rows = static_cast<int64_t>(scores.ids.size());
  bank.classes = scores.width;
  bank.class_ids = scores.class_ids;
  bank.description =
      fmt::format("teacher {}: logits of {} clips", scores.texts["teacher"], bank.rows);
  if (scores.numbers.count("mAP") > 0)
    bank.description += fmt::format(", mAP {:.4f}", scores.numbers["mAP"]);
  return bank;
}

}  // namespace

TeacherLogits::TeacherLogits(const fs::path& logits, const fs::path& index,
                             const schema::KdOptions& options, const Clips& clips,
                             const std::vector<uint32_t>& rows)
    : options_(options), clips_(clips), rows_(rows) {
  const Bank bank = read_bank(logits, index);
  if (bank.classes != clips.classes())
    throw Error(fmt::format("the teacher in {} has {} classes, the data set {}", logits.string(),
                            bank.classes, clips.classes()),
                Exit::kData);
  for (size_t k = 0; k < bank.class_ids.size(); ++k)
    if (bank.class_ids[k] != clips.shards->classes()[k].id)
      throw Error(fmt::format("class {} of the teacher in {} is {}, of the data set {}", k,
                              logits.string(), bank.class_ids[k], clips.shards->classes()[k].id),
                  Exit::kData);
  std::string first_missing;
  for (const uint32_t row : rows) {
    const std::string_view id = clips.shards->id(row);
    int64_t found = -1;
    for (const std::string& name : id_candidates(id)) {
      const auto entry = bank.row_of.find(name);
      if (entry == bank.row_of.end()) continue;
      found = entry->second;
      break;
    }
    if (found < -1 || found >= bank.rows)
      throw Error(fmt::format("the index of {} names row {} for clip {}, of {} rows",
                              logits.string(), found, id, bank.rows),
                  Exit::kData);
    if (found < 0) {
      if (missing_++ == 0) first_missing = id;
    }
    row_of_.push_back(found);
  }
  if (missing_ > 0 && options_.on_missing == schema::OnMissing::kError)
    throw Error(fmt::format("clip {} has no teacher logits in {} ({} of {} clips lack them); "
                            "kd.on_missing = \"zero\" or \"label\" goes on without",
                            first_missing, logits.string(), missing_, rows.size()),
                Exit::kData);
  logits_ = at::tensor(bank.values).reshape({bank.rows, bank.classes});
  description_ = bank.description;
}

/// Labels [n, K] of those rows of the split that have no logits, 0 in all others.
at::Tensor TeacherLogits::labels_of(std::span<const int64_t> rows) const {
  at::Tensor labels = at::zeros({static_cast<int64_t>(rows.size()), clips_.classes()});
  const data::LabelTable table = clips_.shards->labels();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || row_of_[static_cast<size_t>(rows[i])] >= 0) continue;
    const uint32_t clip = rows_[static_cast<size_t>(rows[i])];
    float* out = labels.data_ptr<float>() + static_cast<int64_t>(i) * clips_.classes();
    for (uint64_t at = table.start[clip]; at < table.start[clip + 1]; ++at)
      out[table.index[at]] = table.value[at];
  }
  return labels;
}

SoftTarget TeacherLogits::gather(std::span<const int64_t> rows, at::Device device) const {
  std::vector<int64_t> index;
  std::vector<float> present;
  for (const int64_t row : rows) {
    const int64_t bank_row = row < 0 ? -1 : row_of_[static_cast<size_t>(row)];
    index.push_back(std::max<int64_t>(0, bank_row));
    present.push_back(bank_row < 0 ? 0.0F : 1.0F);
  }
  const at::Tensor picked = logits_.index_select(0, at::tensor(index, at::kLong));
  SoftTarget target = soft_target(picked.to(device), at::tensor(present).to(device), options_);
  if (options_.on_missing != schema::OnMissing::kLabel || missing_ == 0) return target;
  target.probability = target.probability + labels_of(rows).to(device);
  // No partner (row -1) is none that lacks logits.
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] >= 0) present[i] = 1;
  target.weight = at::tensor(present).to(device);
  return target;
}

SoftTarget TeacherLogits::target(const data::Batch& batch, at::Device device) const {
  SoftTarget target = gather(batch.rows, device);
  if (options_.mix_teacher) {
    // A clip without a partner has weight 1; its partner row -1 counts nothing.
    const at::Tensor weight = at::tensor(std::vector<float>(batch.mix)).to(device);
    target = mix(target, gather(batch.partner_rows, device), weight);
  }
  return target;
}

}  // namespace xp::train
