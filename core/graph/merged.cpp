#include "core/graph/merged.h"

#include <algorithm>
#include <map>

#include "core/base/error.h"

namespace xp::graph {

Graph merged(const std::vector<const Graph*>& graphs) {
  Graph out;
  std::map<std::string, size_t> places;  // key -> node of `out`
  for (const Graph* graph : graphs) {
    for (const Node& node : graph->nodes) {
      XP_CHECK(!node.key.empty(), "a graph without keys");
      if (!places.emplace(node.key, out.nodes.size()).second) continue;
      out.nodes.push_back(node);
      for (Edge& edge : out.nodes.back().inputs) {
        if (edge.node != Edge::kUser) edge.node = places.at(graph->nodes[edge.node].key);
      }
    }
    for (const size_t goal : graph->goals) {
      const size_t place = places.at(graph->nodes[goal].key);
      if (std::find(out.goals.begin(), out.goals.end(), place) == out.goals.end())
        out.goals.push_back(place);
    }
  }
  return out;
}

}  // namespace xp::graph
