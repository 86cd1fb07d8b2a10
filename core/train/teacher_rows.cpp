// A teacher's rows are looked at once, when they are read: a NaN would end the training at some
// later step, a wrong index would go unnoticed to its end.
#include "core/train/teacher_rows.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/evaluate/score_file.h"
#include "core/load/id_index.h"
#include "core/metric/metric.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;

std::span<const float> row_values(const TeacherBank& bank, int64_t row) {
  return std::span(bank.values)
      .subspan(static_cast<size_t>(row * bank.classes), static_cast<size_t>(bank.classes));
}

int64_t find_row(const TeacherBank& bank, std::string_view id) {
  for (const std::string& name : load::id_candidates(id)) {
    const auto entry = bank.row_of.find(name);
    if (entry == bank.row_of.end()) continue;
    if (entry->second < 0 || entry->second >= bank.rows)
      throw Error(fmt::format("the index of {} names row {} for clip {}, of {} rows",
                              bank.file.string(), entry->second, id, bank.rows),
                  Exit::kData);
    return entry->second;
  }
  return -1;
}

void check_row(const TeacherBank& bank, int64_t row, std::string_view id) {
  const std::span<const float> values = row_values(bank, row);
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  throw Error(fmt::format("{}: row {} (clip {}) is not finite: class {} is {}", bank.file.string(),
                          row, id, bad - values.begin(), *bad),
              Exit::kData);
}

/// Rows that several clips share, in one line; "" for none. The same id in two joined sets is one
/// clip twice.
std::string shared_rows(const TeacherBank& bank, const batches::Clips& clips,
                        const std::vector<uint32_t>& rows, const std::vector<int64_t>& row_of) {
  std::unordered_map<int64_t, std::string_view> first;
  int64_t sharing = 0;
  std::string example;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (row_of[i] < 0) continue;
    const std::string_view id = clips.shards->id(rows[i]);
    const auto [at, fresh] = first.emplace(row_of[i], id);
    if (fresh || at->second == id) continue;
    if (sharing++ == 0) example = fmt::format("{} and {} row {}", at->second, id, row_of[i]);
  }
  if (sharing == 0) return "";
  return fmt::format(
      "{}: {} of {} clips have the teacher's row of another clip ({}): is kd.index right?",
      bank.file.string(), sharing, rows.size(), example);
}

bool like_probabilities(const TeacherBank& bank, const std::vector<int64_t>& row_of) {
  bool any = false;
  for (const int64_t row : row_of) {
    if (row < 0) continue;
    any = true;
    for (const float value : row_values(bank, row))
      if (value < 0 || value > 1) return false;
  }
  return any;
}

}  // namespace

TeacherBank read_teacher_bank(const fs::path& logits, const fs::path& index) {
  TeacherBank bank;
  bank.file = fs::is_directory(logits) ? logits / "logits.h5" : logits;
  if (bank.file.extension() == ".npy") {
    if (index.empty())
      throw Error(
          fmt::format("{}: an .npy file needs kd.index, the row of each clip", bank.file.string()));
    load::Matrix matrix = load::read_npy(bank.file);
    bank.row_of = load::read_id_index(index);
    bank.values = std::move(matrix.values);
    bank.rows = matrix.rows;
    bank.classes = matrix.columns;
    bank.description =
        fmt::format("{}: logits of {} clips", bank.file.filename().string(), bank.rows);
    return bank;
  }
  evaluate::ScoreFile scores = evaluate::read_scores(bank.file);
  for (size_t i = 0; i < scores.ids.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto [at, fresh] = bank.row_of.emplace(scores.ids[i], row);
    if (!fresh)
      throw Error(fmt::format("{}: rows {} and {} are both of clip {}", bank.file.string(),
                              at->second, row, scores.ids[i]),
                  Exit::kData);
  }
  bank.values = std::move(scores.values);
  bank.rows = static_cast<int64_t>(scores.ids.size());
  bank.classes = scores.width;
  for (size_t k = 0; k < scores.class_ids.size(); ++k)
    bank.class_list.emplace_back(scores.class_ids[k], scores.class_names[k]);
  bank.description =
      fmt::format("teacher {}: logits of {} clips", scores.texts["teacher"], bank.rows);
  return bank;
}

TeacherRows match_teacher_rows(const TeacherBank& bank, const batches::Clips& clips,
                               const std::vector<uint32_t>& rows) {
  const std::string whose = "the teacher in " + bank.file.string();
  if (bank.classes != clips.classes())
    throw Error(
        fmt::format("{} has {} classes, the data set {}", whose, bank.classes, clips.classes()),
        Exit::kData);
  if (!bank.class_list.empty())
    load::require_same_classes(bank.class_list, clips.class_list(), whose);
  TeacherRows found;
  for (const uint32_t row : rows) {
    const std::string_view id = clips.shards->id(row);
    const int64_t at = find_row(bank, id);
    if (at >= 0) check_row(bank, at, id);
    if (at < 0 && found.missing++ == 0) found.first_missing = id;
    found.row_of.push_back(at);
  }
  if (std::string shared = shared_rows(bank, clips, rows, found.row_of); !shared.empty())
    found.warnings.push_back(std::move(shared));
  if (like_probabilities(bank, found.row_of))
    found.warnings.push_back(fmt::format(
        "{}: all values lie in [0, 1], as probabilities do; kd.logits takes logits, the values "
        "before sigmoid or softmax",
        bank.file.string()));
  return found;
}

std::string score_teacher_rows(const TeacherBank& bank, const TeacherRows& found,
                               const batches::Clips& clips, const std::vector<uint32_t>& rows) {
  constexpr size_t kMost = 20000;
  std::vector<size_t> with_row;
  for (size_t i = 0; i < rows.size(); ++i)
    if (found.row_of[i] >= 0) with_row.push_back(i);
  const size_t count = std::min(with_row.size(), kMost);
  const auto width = static_cast<size_t>(bank.classes);
  std::vector<float> scores, targets(count * width, 0), mask;
  if (clips.shards->masked()) mask.resize(count * width);
  const data::LabelTable labels = clips.shards->labels();
  bool one_label = true;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = with_row[i * with_row.size() / count];
    const std::span<const float> values = row_values(bank, found.row_of[at]);
    scores.insert(scores.end(), values.begin(), values.end());
    const std::span<const int32_t> own = labels.of(rows[at]);
    one_label = one_label && own.size() == 1;
    for (size_t j = 0; j < own.size(); ++j)
      targets[i * width + static_cast<size_t>(own[j])] = labels.values_of(rows[at])[j];
    if (!mask.empty()) clips.shards->known(rows[at], std::span(mask).subspan(i * width, width));
  }
  const metric::Table table{scores, targets, mask, static_cast<int64_t>(count), bank.classes};
  const double map = count == 0 ? NAN : metric::summarise(metric::per_class(table)).map;
  std::string text;
  if (std::isfinite(map)) text += fmt::format(", mAP {:.4f}", map);
  if (count > 0 && one_label) text += fmt::format(", acc {:.4f}", metric::accuracy(table));
  if (text.empty()) return text;
  return text + " against the labels" +
         (count < with_row.size() ? fmt::format(" of {} of them", count) : "");
}

}  // namespace xp::train
