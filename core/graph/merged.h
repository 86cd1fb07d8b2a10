#pragma once

#include <vector>

#include "core/graph/graph.h"

namespace xp::graph {

/// The nodes of several graphs, each key once, inputs first, and all their goals: what several
/// trials of a sweep have to make together. A node is called as in the first graph that has it. The
/// graphs must have their keys.
Graph merged(const std::vector<const Graph*>& graphs);

}  // namespace xp::graph
