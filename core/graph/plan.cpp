#include "core/graph/plan.h"

#include <algorithm>
#include <map>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/graph/adopt.h"

namespace xp::graph {
namespace {

constexpr size_t kReasonsShown = 8;
constexpr size_t kKeyShown = 12;  // digits of a key

std::map<std::string, std::string> option_lines(std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t equals = line.find(" = ");
    if (equals != std::string_view::npos) {
      out.emplace(line.substr(0, equals), line.substr(equals + 3));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string input_name(const InputRecord& input) {
  return input.part.empty() || input.part == "output" ? input.role
                                                      : input.role + " (" + input.part + ")";
}

void option_differences(const std::string& before, const std::string& now,
                        std::vector<std::string>& out) {
  const auto old_lines = option_lines(before);
  const auto new_lines = option_lines(now);
  for (const auto& [key, value] : new_lines) {
    const auto old = old_lines.find(key);
    if (old == old_lines.end()) {
      out.push_back(fmt::format("{} = {} is new", key, value));
    } else if (old->second != value) {
      out.push_back(fmt::format("{} {} -> {}", key, old->second, value));
    }
  }
  for (const auto& [key, value] : old_lines) {
    if (new_lines.count(key) == 0)
      out.push_back(fmt::format("{} was {}, is not read now", key, value));
  }
}

std::string input_difference(const InputRecord& before, const InputRecord& now,
                             const InputDigests* inputs) {
  const std::string name = input_name(now);
  if (now.stage.empty() && before.stage.empty()) {
    std::string what;
    if (inputs != nullptr) what = inputs->difference(now.path, before.key, now.key);
    if (!what.empty()) return fmt::format("input {}: in {}: {}", name, now.path, what);
    if (before.path != now.path)
      return fmt::format("input {}: {} -> {}", name, before.path, now.path);
    return fmt::format("input {}: the content of {} changed", name, now.path);
  }
  if (now.stage.empty() || before.stage.empty() || before.kind != now.kind) {
    const auto from = [](const InputRecord& input) {
      return input.stage.empty() ? input.path : fmt::format("stage {}", input.stage);
    };
    return fmt::format("input {}: {} -> {}", name, from(before), from(now));
  }
  return fmt::format("input {}: stage {} is another ({} -> {})", name, now.stage,
                     before.key.substr(0, 8), now.key.substr(0, 8));
}

void input_differences(const std::vector<InputRecord>& before, const std::vector<InputRecord>& now,
                       const InputDigests* inputs, std::vector<std::string>& files,
                       std::vector<std::string>& stages) {
  // Several inputs of one role are compared in order.
  std::map<std::string, std::vector<const InputRecord*>> old;
  for (const InputRecord& input : before) old[input.role].push_back(&input);
  std::map<std::string, size_t> used;
  for (const InputRecord& input : now) {
    const std::vector<const InputRecord*>& candidates = old[input.role];
    const size_t at = used[input.role]++;
    std::vector<std::string>& out = input.stage.empty() ? files : stages;
    if (at >= candidates.size()) {
      out.push_back(fmt::format("input {} is new", input_name(input)));
    } else if (candidates[at]->key != input.key) {
      out.push_back(input_difference(*candidates[at], input, inputs));
    } else if (candidates[at]->part != input.part) {
      out.push_back(
          fmt::format("input {}: {} -> {}", input.role, candidates[at]->part, input.part));
    }
  }
  for (const auto& [role, candidates] : old) {
    for (size_t i = used[role]; i < candidates.size(); ++i) {
      stages.push_back(fmt::format("input {} is not read now", input_name(*candidates[i])));
    }
  }
}

// The finished output that is most like what is wanted: of the same stage of a recipe if there is
// one.
std::vector<std::string> why_not_cached(const Graph& graph, const Node& node, const Cache& cache,
                                        const InputDigests* inputs) {
  std::vector<std::string> best;
  std::pair<bool, size_t> best_rank(true, SIZE_MAX);
  for (const Manifest& candidate : cache.all(node.kind)) {
    std::vector<std::string> found = differences(graph, node, candidate, inputs);
    const std::string made_for = candidate.stage.substr(0, candidate.stage.find('@'));
    const std::pair<bool, size_t> rank(made_for != node.stage, found.size());
    if (!found.empty() && rank < best_rank) {
      best_rank = rank;
      best = std::move(found);
    }
  }
  if (best.empty()) return {"no output in the cache"};
  if (best.size() > kReasonsShown) {
    const size_t more = best.size() - kReasonsShown;
    best.resize(kReasonsShown);
    best.push_back(fmt::format("and {} more", more));
  }
  return best;
}

const char* state_text(State state) {
  switch (state) {
    case State::kCached:
      return "cached";
    case State::kWillRun:
      return "will run";
    case State::kResumes:
      return "resumes";
    case State::kWaits:
      return "waits";
    case State::kNotNeeded:
      return "not needed";
  }
  return "";
}

std::string why_provisional(const Node& node) {
  uint64_t files = 0, bytes = 0;
  for (const Edge& edge : node.inputs) {
    files += edge.unread;
    bytes += edge.unread_bytes;
  }
  if (files == 0) return "its key is known when its inputs' are";
  return fmt::format("{} files ({:.1f} GB) were not read yet: they are while they are decoded",
                     files, static_cast<double>(bytes) / 1e9);
}

void look_up(Plan& plan, size_t i, const Cache& cache, InputDigests* inputs, bool explain) {
  const Node& node = plan.graph.nodes[i];
  Step& step = plan.steps[i];
  if (step.forced) {
    step.state = State::kWillRun;
    step.reasons = {"forced"};
    return;
  }
  if (auto manifest = cache.find(node.kind, node.key)) {
    const std::string damage = cache.damage(*manifest, false);
    if (damage.empty()) {
      step.state = State::kCached;
      step.cached = std::move(manifest);
      return;
    }
    step.reasons = {"the cached output is damaged: " + damage};
    return;
  }
  if (const auto holder = cache.holder(node.kind, node.key)) {
    step.state = State::kWaits;
    step.reasons = {"made at this moment by " + holder_text(*holder)};
    return;
  }
  if (node.resume == Resume::kResumes && cache.has_partial(node.kind, node.key))
    step.state = State::kResumes;
  if (node.provisional) {
    step.reasons = {why_provisional(node)};
    return;
  }
  step.earlier = earlier_output(node, cache, inputs);
  if (!step.earlier.empty()) {
    step.reasons = {
        fmt::format("version of {0} {1} -> {2}: of {0}/{3} what is right already is taken "
                    "over, not made again",
                    node.kind, node.version - 1, node.version, step.earlier.substr(0, kKeyShown))};
    return;
  }
  if (explain) step.reasons = why_not_cached(plan.graph, node, cache, inputs);
}

void mark_needed(Plan& plan, const std::vector<size_t>& goals) {
  std::vector<bool> needed(plan.graph.nodes.size(), false);
  for (const size_t goal : goals) needed[goal] = true;
  for (size_t i = plan.graph.nodes.size(); i-- > 0;) {
    if (!needed[i]) {
      if (plan.steps[i].state != State::kCached) {
        plan.steps[i].state = State::kNotNeeded;
        plan.steps[i].reasons.clear();
      }
      continue;
    }
    if (plan.steps[i].state == State::kCached) continue;
    for (const Edge& edge : plan.graph.nodes[i].inputs) {
      if (edge.node != Edge::kUser) needed[edge.node] = true;
    }
  }
}

// Only the goals and what they are made from, in the order that they had.
Graph pruned(const Graph& graph, const std::vector<size_t>& goals) {
  std::vector<bool> keep(graph.nodes.size(), false);
  for (const size_t goal : goals) keep[goal] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (!keep[i]) continue;
    for (const Edge& edge : graph.nodes[i].inputs) {
      if (edge.node != Edge::kUser) keep[edge.node] = true;
    }
  }
  Graph out;
  std::vector<size_t> place(graph.nodes.size(), 0);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!keep[i]) continue;
    place[i] = out.nodes.size();
    out.nodes.push_back(graph.nodes[i]);
    for (Edge& edge : out.nodes.back().inputs) {
      if (edge.node != Edge::kUser) edge.node = place[edge.node];
    }
  }
  for (const size_t goal : goals) out.goals.push_back(place[goal]);
  return out;
}

void check_from(const Plan& plan, const std::string& from) {
  const std::vector<bool> after = dependants(plan.graph, find_nodes(plan.graph, from));
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const State state = plan.steps[i].state;
    if (after[i] || state == State::kCached || state == State::kNotNeeded) continue;
    throw Error(fmt::format(
        "--from {}: stage {} comes before it and is not cached ({}); run without --from, or "
        "--until {} first",
        from, plan.graph.nodes[i].name, plan.steps[i].reasons.front(), plan.graph.nodes[i].name));
  }
}

}  // namespace

std::vector<std::string> differences(const Graph& graph, const Node& node, const Manifest& cached,
                                     const InputDigests* inputs) {
  std::vector<std::string> out, stages;
  if (cached.version != node.version) {
    out.push_back(fmt::format("version of {} {} -> {}", node.kind, cached.version, node.version));
  }
  option_differences(cached.options, node.options, out);
  input_differences(cached.inputs, input_records(graph, node), inputs, out, stages);
  out.insert(out.end(), stages.begin(), stages.end());
  return out;
}

Plan make_plan(const Graph& graph, const Cache& cache, InputDigests* inputs,
               const PlanRequest& request) {
  std::vector<size_t> goals = graph.goals;
  if (!request.until.empty()) goals = find_nodes(graph, request.until);
  Plan plan;
  plan.graph = pruned(graph, goals);
  plan.steps.resize(plan.graph.nodes.size());
  std::vector<size_t> forced;
  for (const std::string& name : request.force) {
    const std::vector<size_t> found = find_nodes(plan.graph, name);
    forced.insert(forced.end(), found.begin(), found.end());
  }
  const std::vector<bool> anew = dependants(plan.graph, forced);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    plan.steps[i].forced = anew[i];
    look_up(plan, i, cache, inputs, request.reasons || !request.from.empty());
  }
  mark_needed(plan, plan.graph.goals);
  if (!request.from.empty()) check_from(plan, request.from);
  return plan;
}

std::string plan_text(const Plan& plan) {
  size_t name_width = 5, kind_width = 4;
  for (const Node& node : plan.graph.nodes) {
    name_width = std::max(name_width, node.name.size());
    kind_width = std::max(kind_width, node.kind.size());
  }
  std::string out = fmt::format("{:<{}}  {:<{}}  {:<10}  {}\n", "stage", name_width, "kind",
                                kind_width, "state", "key");
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.graph.nodes[i];
    out += fmt::format("{:<{}}  {:<{}}  {:<10}  {}\n", node.name, name_width, node.kind, kind_width,
                       state_text(plan.steps[i].state),
                       node.provisional ? "-" : node.key.substr(0, kKeyShown));
    for (const std::string& reason : plan.steps[i].reasons) {
      out += fmt::format("{:<{}}    {}\n", "", name_width, reason);
    }
  }
  return out;
}

std::string plan_json(const Plan& plan, const Cache& cache) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.graph.nodes[i];
    out.push_back({{"name", node.name},
                   {"kind", node.kind},
                   {"state", state_text(plan.steps[i].state)},
                   {"key", node.provisional ? "" : node.key},
                   {"folder", node.provisional ? "" : cache.folder(node.kind, node.key).string()},
                   {"reasons", plan.steps[i].reasons}});
  }
  return out.dump(1) + "\n";
}

}  // namespace xp::graph
