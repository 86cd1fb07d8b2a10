#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sweeps/space.h"
#include "sweeps/strategy.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// Makes a trial of values and a seed: its hash, bundle and goals. Throws Error for values that the
/// recipe cannot take.
using MakeTrial = std::function<Trial(
    const std::vector<std::pair<std::string, std::string>>& values, uint64_t seed)>;

/// Points of a table that ended (all their trials did), by number: losses are means over the trials
/// that were done.
std::vector<Observation> observations(const std::vector<Trial>& trials,
                                      const std::vector<Objective>& objectives);

/// Adds the trials that the strategy proposes now, up to spec.trials points. Nothing for a grid.
/// Any process may call it at any time: one at a time does the work, and whoever does, the same
/// trials come out. Returns how many were added.
size_t propose(SweepDb& db, const SweepSpec& spec, const Space& space, const MakeTrial& make);

/// True while there are points to propose.
bool proposes_more(const SweepDb& db, const SweepSpec& spec);

}  // namespace xp::sweeps
