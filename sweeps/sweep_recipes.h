#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/run/plan_run.h"
#include "sweeps/space.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// The recipe of a sweep, as it was when the sweep was made, with the values of a trial put in.
class SweepRecipes {
 public:
  using Values = std::vector<std::pair<std::string, std::string>>;

  /// `spec` outlives this.
  SweepRecipes(const SweepSpec& spec, run::Workspace workspace);

  const run::Workspace& workspace() const { return workspace_; }
  recipe::Recipe load(const Values& values, uint64_t seed) const;
  /// Hash, bundle and goals of a trial; looks no output up.
  Trial make(const Values& values, uint64_t seed);
  /// The recipe without the values of a trial: what is true of all of them. Where it is not valid
  /// by itself (it lacks a swept key), with those of the first point.
  run::PlannedRun plan_base();
  /// Held against the cache. `reasons`: say why something is not cached.
  run::PlannedRun plan(const Values& values, uint64_t seed, bool reasons);

 private:
  const SweepSpec& spec_;
  run::Workspace workspace_;
  graph::InputDigests inputs_;
};

/// The values of a space's first point; of ranges their middle.
SweepRecipes::Values first_values(const Space& space);

/// Digest of what trials share: the keys of everything but evaluations.
std::string bundle_of(const graph::Graph& graph);
/// Digest of the keys of the goals.
std::string goals_of(const graph::Graph& graph);

/// True when an objective is measured on the test split, so that choosing by it is a choice made on
/// test.
bool measured_on_test(const graph::Graph& graph, const Objective& objective);

}  // namespace xp::sweeps
