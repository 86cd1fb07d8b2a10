#include "core/graph/graph.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::graph {

std::vector<InputRecord> input_records(const Graph& graph, const Node& node) {
  std::vector<InputRecord> out;
  for (const Edge& edge : node.inputs) {
    InputRecord record;
    record.role = edge.role;
    record.part = edge.part;
    if (edge.node == Edge::kUser) {
      record.key = edge.digest;
      record.path = edge.path.string();
    } else {
      const Node& from = graph.nodes[edge.node];
      record.stage = from.name;
      record.kind = from.kind;
      record.key = from.key;
    }
    out.push_back(std::move(record));
  }
  return out;
}

bool reads_unread(const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [](const Edge& edge) { return edge.unread > 0; });
}

bool is_provisional(const Graph& graph, const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&graph](const Edge& edge) {
    return edge.node == Edge::kUser ? edge.unread > 0 : graph.nodes[edge.node].provisional;
  });
}

void set_keys(Graph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (const Edge& edge : node.inputs) {
      XP_CHECK(edge.node == Edge::kUser || edge.node < i,
               "stage " + node.name + " comes before its input");
    }
    node.provisional = is_provisional(graph, node);
    node.key = stage_key(node.kind, node.version, node.options, input_records(graph, node));
  }
}

std::vector<size_t> find_nodes(const Graph& graph, std::string_view text) {
  std::vector<size_t> by_name, by_kind;
  std::set<std::string> names;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.name == text || node.stage == text) by_name.push_back(i);
    if (node.kind == text) by_kind.push_back(i);
    names.insert(node.stage);
    names.insert(node.name);
  }
  if (!by_name.empty()) return by_name;
  if (!by_kind.empty()) return by_kind;
  const std::string near = nearest(text, names);
  throw Error(fmt::format("there is no stage '{}' in this recipe{}", text,
                          near.empty() ? fmt::format("; it has {}", fmt::join(names, ", "))
                                       : fmt::format("; did you mean '{}'?", near)));
}

std::vector<bool> dependants(const Graph& graph, const std::vector<size_t>& nodes) {
  std::vector<bool> out(graph.nodes.size(), false);
  for (const size_t i : nodes) out[i] = true;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const Edge& edge : graph.nodes[i].inputs) {
      if (edge.node != Edge::kUser && out[edge.node]) out[i] = true;
    }
  }
  return out;
}

}  // namespace xp::graph
