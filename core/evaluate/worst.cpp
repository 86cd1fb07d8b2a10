#include "core/evaluate/worst.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include <nlohmann/json.hpp>

#include "core/base/files.h"

namespace xp::evaluate {
namespace {

/// Rows of a split, [K] each.
struct Rows {
  explicit Rows(const ScoredSplit& scored)
      : split(scored), width(scored.classes.size()), count(scored.ids.size()) {
    single = true;
    for (size_t i = 0; i < count && single; ++i) {
      const auto row = of(split.targets, i);
      const auto ones = std::count(row.begin(), row.end(), 1.0F);
      const auto zeros = std::count(row.begin(), row.end(), 0.0F);
      single = ones == 1 && static_cast<size_t>(ones + zeros) == width && split.mask.empty();
    }
  }

  std::span<const float> of(const std::vector<float>& values, size_t i) const {
    return std::span<const float>(values).subspan(i * width, width);
  }

  /// log sum exp of a row of logits.
  static double log_sum(std::span<const float> logits) {
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float z : logits) sum += std::exp(z - top);
    return top + std::log(sum);
  }

  double loss(size_t i) const {
    const auto logits = of(split.logits, i);
    const auto targets = of(split.targets, i);
    if (single) {
      const auto label = std::max_element(targets.begin(), targets.end()) - targets.begin();
      return log_sum(logits) - logits[static_cast<size_t>(label)];
    }
    double sum = 0;
    double known = 0;
    for (size_t k = 0; k < width; ++k) {
      if (!split.mask.empty() && of(split.mask, i)[k] == 0) continue;
      const double z = logits[k];
      sum += std::max(z, 0.0) - z * targets[k] + std::log1p(std::exp(-std::abs(z)));
      known += 1;
    }
    return known > 0 ? sum / known : 0;
  }

  WrongClip clip(size_t i, double its_loss) const {
    WrongClip clip;
    clip.id = split.ids[i];
    clip.loss = its_loss;
    const auto logits = of(split.logits, i);
    const auto targets = of(split.targets, i);
    for (size_t k = 0; k < width; ++k)
      if (targets[k] >= 0.5F) clip.labels.push_back(split.classes[k].second);
    std::vector<size_t> order(width);
    std::iota(order.begin(), order.end(), size_t{0});
    const size_t shown = std::min<size_t>(3, width);
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
        [&](size_t a, size_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    const double all = single ? log_sum(logits) : 0;
    for (size_t j = 0; j < shown; ++j) {
      const double z = logits[order[j]];
      const double probability = single ? std::exp(z - all) : 1 / (1 + std::exp(-z));
      clip.guesses.push_back({split.classes[order[j]].second, probability});
    }
    return clip;
  }

  const ScoredSplit& split;
  size_t width;
  size_t count;
  bool single = false;
};

}  // namespace

std::vector<WrongClip> worst_clips(const ScoredSplit& split, int64_t most) {
  const Rows rows(split);
  std::vector<std::pair<double, size_t>> losses;
  for (size_t i = 0; i < rows.count; ++i) losses.emplace_back(rows.loss(i), i);
  std::stable_sort(losses.begin(), losses.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  if (static_cast<int64_t>(losses.size()) > most) losses.resize(static_cast<size_t>(most));
  std::vector<WrongClip> clips;
  for (const auto& [loss, i] : losses) clips.push_back(rows.clip(i, loss));
  return clips;
}

void write_worst(const std::filesystem::path& file, const std::vector<WrongClip>& clips) {
  nlohmann::json list = nlohmann::json::array();
  for (const WrongClip& clip : clips) {
    nlohmann::json guesses = nlohmann::json::array();
    for (const auto& guess : clip.guesses)
      guesses.push_back({{"name", guess.name}, {"probability", guess.probability}});
    list.push_back(
        {{"id", clip.id}, {"loss", clip.loss}, {"labels", clip.labels}, {"guesses", guesses}});
  }
  write_file_atomic(file, list.dump(1) + "\n");
}

}  // namespace xp::evaluate
