#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/graph/cache.h"
#include "core/graph/graph.h"
#include "core/graph/inputs.h"

namespace xp::graph {

/// What a run will do with a stage.
enum class State {
  kCached,  ///< its output is there
  kWillRun,
  kResumes,   ///< goes on from what an earlier attempt left
  kWaits,     ///< another process makes it at this moment; its output will be used
  kNotNeeded  ///< not there, and all that need it are cached
};

struct Step {
  State state = State::kWillRun;
  /// Why it is not cached, one fact each: "kd.lambda 0.1 -> 0.25", "input data: a.wav changed".
  /// Empty if cached.
  std::vector<std::string> reasons;
  std::optional<Manifest> cached;
  bool forced = false;
  std::string earlier;  ///< key of an output that parts are taken over from, see adopt.h; "" = none
};

/// A graph held against a cache.
struct Plan {
  Graph graph;
  std::vector<Step> steps;  ///< one a node
};

/// Parts of a graph that the user asks for, by stage or instance name.
struct PlanRequest {
  std::vector<std::string> force;  ///< made anew, with all that need them
  std::string from;                ///< what comes before must be cached
  std::string until;               ///< the goal, in place of the recipe's
  bool reasons = true;             ///< say why a stage is not cached: costs a look at all outputs
};

/// Looks every needed stage up. `inputs` explains changed files; may be null. Throws Error for an
/// unknown stage name, and where --from meets a stage before it that is not cached.
Plan make_plan(const Graph& graph, const Cache& cache, InputDigests* inputs,
               const PlanRequest& request);

/// The plan as lines for people: name, kind, state, key, reasons below.
std::string plan_text(const Plan& plan);
/// The same as JSON: an array of {name, kind, state, key, folder, reasons}; key and folder are ""
/// where input data was not read yet.
std::string plan_json(const Plan& plan, const Cache& cache);

/// What differs between a finished output and a node: options, version, inputs. Newest differences
/// first are those that the user can see: options, then files, then stages.
std::vector<std::string> differences(const Graph& graph, const Node& node, const Manifest& cached,
                                     const InputDigests* inputs);

}  // namespace xp::graph
