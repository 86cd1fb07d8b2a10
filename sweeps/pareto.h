#pragma once

#include <cstddef>
#include <vector>

namespace xp::sweeps {

/// Losses of one trial, one an objective: smaller is better.
using Losses = std::vector<double>;

/// True when `a` is at least as good everywhere and better somewhere. NaN is worse than any number.
bool dominates(const Losses& a, const Losses& b);

/// Layers of non-dominated points: 0 for the front, 1 for the front of the rest, ... Equal points
/// share a layer. O(layers n^2).
std::vector<size_t> pareto_layers(const std::vector<Losses>& all);

/// Indices in the order best to worst: by layer, within a layer the lonelier first (crowding
/// distance of Deb et al. 2002), then by index. With one objective: by loss, then by index.
std::vector<size_t> best_first(const std::vector<Losses>& all);

}  // namespace xp::sweeps
