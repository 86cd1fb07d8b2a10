#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "core/evaluate/score_file.h"

/// Two evaluations of the same clips, compared clip by clip: torch-free.
namespace xp::evaluate {

/// Why two files of predictions cannot be paired ("they are not of the same clips"); "" when they
/// can: the same ids in the same order, with the same targets and masks.
std::string why_not_paired(const ScoreFile& ours, const ScoreFile& theirs);

/// For the metrics with bounds (acc, mAP, auc) that are in `leaves`, what `ours` has more than
/// `theirs`: `acc_difference_lo`, `_hi`, the 95 % bootstrap interval over clips (both sides see the
/// same draws), and `acc_difference_p`, the two-sided p of no difference: McNemar's exact test for
/// acc, the bootstrap's for the others. Metrics that these clips do not have (no class with
/// positives) are left out. `check` is called between draws and may throw.
std::map<std::string, double> paired_clips(const ScoreFile& ours, const ScoreFile& theirs,
                                           const std::set<std::string>& leaves,
                                           const std::function<void()>& check);

}  // namespace xp::evaluate
