#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace xp::report {

/// The points that no other beats: `q` beats `p` when it is at least as good in every objective and
/// better in one. Every objective is to be large (negate what is to be small). Equal points stand
/// or fall together. A point with a NaN is never on the front and beats nobody. Any number of
/// objectives, the same for all points. Ascending indices.
/// O(n log n + n f), f the size of the front: by descending order a point is only ever beaten by
/// one before it, and if by any then by one on the front.
std::vector<size_t> pareto_front(std::span<const std::vector<double>> points);

}  // namespace xp::report
