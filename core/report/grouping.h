#pragma once

#include <string>
#include <vector>

#include "core/report/comparison.h"

namespace xp::report {

/// Keys that say what a run is called, not what it does: experiment.name, .tags, .notes, .goals.
bool is_label(std::string_view key);

/// Keys whose values are not the same in all of `runs`, but for the seed and labels, sorted. A key
/// pinned by a stage (`stages.eval.with.tome.r`) that a run lacks has the run's own `tome.r` there.
std::vector<std::string> differing_keys(const std::vector<tracker::RunInfo>& runs);

/// The value of a key in a run, by the same rule.
std::optional<tracker::Value> value_of_key(const tracker::RunInfo& run, const std::string& key);

/// The last value of a metric; nullopt where the run has none.
std::optional<double> value_of_metric(const tracker::RunInfo& run, std::string_view metric);

/// Fills keys, groups (values, runs, label) of `comparison` from its runs and seeds. Keys that only
/// some values of another key of their section bring along (sampler.count_offset) are left out.
/// `named`: the order of the runs counts. Older runs of one configuration and seed are taken out of
/// `runs` and noted.
void make_groups(Comparison& comparison, bool named);

}  // namespace xp::report
