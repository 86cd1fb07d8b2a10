#pragma once

#include <string>
#include <vector>

#include "sweeps/table.h"

namespace xp::cli {

/// One line a trial: number, values, seed, state, objectives, run.
std::string trials_table(const sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                         const std::vector<std::string>& states);

/// What came out: counts, the best or the Pareto front, where to look further. `on_test`: marks it
/// as selected on test.
std::string sweep_summary(const sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                          bool on_test);

/// "17 trials: 9 done, 2 running, 6 queued".
std::string counts_text(const sweeps::Counts& counts);

/// A sweep with its trials as JSON.
std::string sweep_json(const sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                       const std::string& halted, bool on_test);

}  // namespace xp::cli
