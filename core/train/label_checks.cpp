#include "core/train/label_checks.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::train {
namespace {

constexpr float kPositive = 0.5F;  // a target above it is positive, as in core/metric

/// Clips of each class.
std::vector<int64_t> clips_of_classes(const batches::Clips& clips,
                                      const std::vector<uint32_t>& rows) {
  std::vector<int64_t> count(static_cast<size_t>(clips.classes()), 0);
  const data::LabelTable labels = clips.shards->labels();
  for (const uint32_t row : rows) {
    const auto index = labels.of(row);
    const auto value = labels.values_of(row);
    for (size_t i = 0; i < index.size(); ++i)
      count[static_cast<size_t>(index[i])] += value[i] > kPositive ? 1 : 0;
  }
  return count;
}

std::string several_labels(const batches::Clips& clips, const std::vector<uint32_t>& rows) {
  const data::LabelTable labels = clips.shards->labels();
  int64_t several = 0;
  std::string first;
  for (const uint32_t row : rows) {
    const auto value = labels.values_of(row);
    if (std::count_if(value.begin(), value.end(), [](float v) { return v > kPositive; }) < 2)
      continue;
    if (several++ == 0) first = clips.shards->id(row);
  }
  if (several == 0) return "";
  return fmt::format(
      "train.loss = \"ce\" takes one label a clip: of {} of {} training clips that have several "
      "(first: {}) only the first counts; bce takes all",
      several, rows.size(), first);
}

/// The rows of a split that need not be there.
std::vector<uint32_t> rows_or_none(const batches::Clips& clips, std::string_view role) {
  try {
    return clips.rows(role);
  } catch (const Error&) {
    return {};  // the stage that reads it says what is wrong
  }
}

std::string classes_without_training(const batches::Clips& clips,
                                     const std::vector<int64_t>& trained, const char* role) {
  const std::vector<int64_t> there = clips_of_classes(clips, rows_or_none(clips, role));
  constexpr int64_t kShown = 5;
  int64_t without = 0;
  std::string names;
  for (size_t k = 0; k < there.size(); ++k) {
    if (there[k] == 0 || trained[k] > 0) continue;
    if (++without <= kShown) names += (names.empty() ? "" : ", ") + clips.shards->classes()[k].name;
  }
  if (without == 0) return "";
  if (without > kShown) names += fmt::format(" and {} more", without - kShown);
  return fmt::format(
      "{} of {} classes have clips in the {} split and none in the training split: {}", without,
      there.size(), role, names);
}

}  // namespace

std::vector<std::string> label_warnings(const batches::Clips& clips, schema::Loss loss) {
  const std::vector<uint32_t> rows = clips.rows("train");
  const std::vector<int64_t> trained = clips_of_classes(clips, rows);
  std::vector<std::string> found;
  const auto add = [&found](std::string line) {
    if (!line.empty()) found.push_back(std::move(line));
  };
  if (loss == schema::Loss::kCe) add(several_labels(clips, rows));
  for (const char* role : {"val", "test"}) add(classes_without_training(clips, trained, role));
  return found;
}

}  // namespace xp::train
