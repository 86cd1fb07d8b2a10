#include "core/run/run_goes_on.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/recipe/language.h"
#include "core/schema/load.h"

namespace xp::run {
namespace {

// "stages.train.with.dataset.root" is the key dataset.root of a stage.
std::string plain_key(const std::string& key) {
  const size_t with = key.find(".with.");
  return key.starts_with("stages.") && with != std::string::npos ? key.substr(with + 6) : key;
}

// Runs with one hash differ in no result: what differs of a result's key is where a file lies.
std::vector<std::string> other_paths(const tracker::RunInfo& info,
                                     const std::vector<tracker::Param>& params) {
  std::vector<std::string> out;
  for (const tracker::Param& now : params) {
    const recipe::FieldSpec* field = schema::language().find_key(plain_key(now.key));
    if (field == nullptr || field->spec.hash != recipe::HashClass::kResult) continue;
    const auto was = info.params.find(now.key);
    const std::string before = was == info.params.end() ? "" : tracker::to_text(was->second);
    if (before != tracker::to_text(now.value))
      out.push_back(fmt::format("{} {} -> {}", now.key, before, tracker::to_text(now.value)));
  }
  return out;
}

std::string reads(const graph::Node& node) {
  std::vector<std::string> files;
  for (const graph::Edge& edge : node.inputs) {
    if (edge.node == graph::Edge::kUser) files.push_back(edge.path.string());
  }
  return files.empty() ? "" : fmt::format(", which reads {},", fmt::join(files, ", "));
}

}  // namespace

std::string why_another(const tracker::RunInfo& info, const tracker::RunDetail& detail,
                        const graph::Graph& graph, const std::vector<tracker::Param>& params) {
  if (detail.attempts.empty()) return "";  // it waits for its first one
  const std::vector<std::string> paths = other_paths(info, params);
  bool known = false;
  for (const graph::Node& node : graph.nodes) {  // inputs first
    const auto began = std::find_if(detail.stages.begin(), detail.stages.end(),
                                    [&](const auto& stage) { return stage.name == node.name; });
    if (began == detail.stages.end()) continue;
    // Its key was over a listing that has been read since; nothing was made under it.
    const bool learned = began->folder.empty() && !node.provisional;
    if (learned) continue;
    known = known || !node.provisional;
    if (began->key == node.key) continue;
    if (!paths.empty()) return fmt::format("{}", fmt::join(paths, ", "));
    return fmt::format("its stage {}{} has another key by now ({} -> {})", node.name, reads(node),
                       began->key.substr(0, 8), node.key.substr(0, 8));
  }
  return known ? "" : fmt::format("{}", fmt::join(paths, ", "));
}

std::string why_another(tracker::Query& query, const std::string& uid, const graph::Graph& graph,
                        const std::vector<tracker::Param>& params) {
  try {
    return why_another(query.run(uid), query.detail(uid), graph, params);
  } catch (const Error& error) {
    // Its record was damaged or removed: that run cannot be gone on with, but the recipe can.
    return error.message();
  }
}

}  // namespace xp::run
