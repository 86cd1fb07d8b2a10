#include "core/graph/adopt.h"

#include <algorithm>
#include <vector>

#include "core/graph/cache.h"
#include "core/graph/graph.h"
#include "core/graph/inputs.h"

namespace xp::graph {
namespace {

constexpr const char* kKind = "prepare";
constexpr int kFrom = 4;
constexpr int kTo = 5;

bool is_root(const InputRecord& record) { return record.role.ends_with(".root"); }

/// Whether the folder held what it holds now, all files of it.
bool same_folder(const Node& node, const InputRecord& before, InputDigests* inputs) {
  const auto edge = std::find_if(node.inputs.begin(), node.inputs.end(),
                                 [&](const Edge& one) { return one.role == before.role; });
  // A listed set: its lists and what they name are inputs of their own, before and now.
  if (edge == node.inputs.end()) return true;
  if (edge->digest == before.key) return true;
  return inputs != nullptr && edge->counted != nullptr &&
         inputs->tree_of_all(edge->path, *edge->counted).digest == before.key;
}

bool same_inputs(const Node& node, const Manifest& before, InputDigests* inputs) {
  std::vector<const Edge*> now;
  for (const Edge& edge : node.inputs) {
    if (!edge.role.ends_with(".root")) now.push_back(&edge);
  }
  size_t at = 0;
  for (const InputRecord& record : before.inputs) {
    if (is_root(record)) continue;
    if (at == now.size() || now[at]->role != record.role || now[at]->digest != record.key)
      return false;
    ++at;
  }
  return at == now.size() &&
         std::all_of(before.inputs.begin(), before.inputs.end(), [&](const InputRecord& record) {
           return !is_root(record) || same_folder(node, record, inputs);
         });
}

}  // namespace

std::string earlier_output(const Node& node, const Cache& cache, InputDigests* inputs) {
  if (node.kind != kKind || node.version != kTo || node.provisional) return "";
  for (const Manifest& before : cache.all(kKind)) {
    if (before.version == kFrom && before.options == node.options &&
        same_inputs(node, before, inputs) && cache.damage(before, false).empty())
      return before.key;
  }
  return "";
}

}  // namespace xp::graph
