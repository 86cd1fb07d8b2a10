#include "core/evaluate/paired_clips.h"

#include <cmath>
#include <span>
#include <vector>

#include "core/metric/interval.h"
#include "core/metric/scored.h"

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
  const metric::Scored here(table_of(ours)), there(table_of(theirs));
  std::map<std::string, double> out;
  for (const metric::Metric& line : metric::table()) {
    const std::string leaf(line.name);
    if (line.bounds == metric::Bounds::kNone || !leaves.contains(leaf)) continue;
    const auto theirs_of = [&](std::span<const float> counts) {
      check();
      return line.compute(there, counts);
    };
    const auto ours_of = [&](std::span<const float> counts) { return line.compute(here, counts); };
    const metric::Paired paired =
        metric::paired_bootstrap(here.table().rows, kResamples, kSeed, theirs_of, ours_of);
    if (!std::isfinite(paired.difference) || !std::isfinite(paired.interval.low)) continue;
    out[leaf + "_difference_lo"] = paired.interval.low;
    out[leaf + "_difference_hi"] = paired.interval.high;
    out[leaf + "_difference_p"] = line.bounds == metric::Bounds::kShare
                                      ? metric::mcnemar(there.correct(), here.correct())
                                      : paired.p;
  }
  return out;
}

}  // namespace xp::evaluate
