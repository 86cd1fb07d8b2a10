#include "core/evaluate/paired_clips.h"

#include <cmath>
#include <span>
#include <vector>

#include "core/metric/interval.h"
#include "core/metric/metric.h"

namespace xp::evaluate {
namespace {

constexpr int64_t kResamples = 1000;
constexpr uint64_t kSeed = 0;  // the same draws for whatever is compared

metric::Table table_of(const ScoreFile& scores) {
  return {scores.values, scores.targets, scores.mask, static_cast<int64_t>(scores.ids.size()),
          scores.width};
}

}  // namespace

std::string why_not_paired(const ScoreFile& ours, const ScoreFile& theirs) {
  if (ours.ids != theirs.ids) return "they are not of the same clips";
  if (ours.targets.empty() || ours.targets != theirs.targets || ours.mask != theirs.mask)
    return "their targets differ";
  return "";
}

std::map<std::string, double> paired_clips(const ScoreFile& ours, const ScoreFile& theirs,
                                           const std::set<std::string>& leaves,
                                           const std::function<void()>& check) {
  const metric::Table here = table_of(ours), there = table_of(theirs);
  std::map<std::string, double> out;
  const auto add = [&](const std::string& leaf, const metric::Paired& paired, double p) {
    if (!std::isfinite(paired.difference) || !std::isfinite(paired.interval.low)) return;
    out[leaf + "_difference_lo"] = paired.interval.low;
    out[leaf + "_difference_hi"] = paired.interval.high;
    out[leaf + "_difference_p"] = p;
  };
  const auto compare = [&](const metric::Statistic& a, const metric::Statistic& b) {
    const auto checked = [&](std::span<const float> counts) {
      check();
      return a(counts);
    };
    return metric::paired_bootstrap(here.rows, kResamples, kSeed, checked, b);
  };
  if (leaves.contains("acc")) {
    const std::vector<float> hits = metric::correct(here), others = metric::correct(there);
    add("acc", compare(metric::mean_of(others), metric::mean_of(hits)),
        metric::mcnemar(others, hits));
  }
  if (!leaves.contains("mAP") && !leaves.contains("auc")) return out;
  const metric::RankedTable ranked(here), counterpart(there);
  if (leaves.contains("mAP")) {
    const metric::Paired map =
        compare([&](std::span<const float> counts) { return counterpart.map(counts); },
                [&](std::span<const float> counts) { return ranked.map(counts); });
    add("mAP", map, map.p);
  }
  if (leaves.contains("auc")) {
    const metric::Paired auc =
        compare([&](std::span<const float> counts) { return counterpart.auc(counts); },
                [&](std::span<const float> counts) { return ranked.auc(counts); });
    add("auc", auc, auc.p);
  }
  return out;
}

}  // namespace xp::evaluate
