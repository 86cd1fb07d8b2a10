#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "core/run/plan_run.h"
#include "sweeps/sweep_recipes.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// What a sweep is asked to be; what is empty or -1 here is the recipe's [sweep]. Texts are those
/// of the options of `exp sweep`.
struct SweepArguments {
  run::RunArguments run;  ///< recipe, --set, --variant, --devices
  std::vector<std::string> params, zip, exclude, objectives;
  std::string metric, strategy;
  int64_t trials = -1, seeds = -1;
};

/// A sweep as the command and the recipe's [sweep] describe it, and the recipe's graph, provisional
/// where a data set was not read yet.
struct DescribedSweep {
  SweepSpec spec;
  graph::Graph graph;
  /// Swept values without which the recipe is not valid; mostly none.
  SweepRecipes::Values base_values;
  std::vector<std::string> notes;
};

/// `argv`: the command line that is kept with the sweep. Throws Error for the user's mistakes.
DescribedSweep describe_sweep(const SweepArguments& arguments, const run::Workspace& workspace,
                              std::vector<std::string> argv);

/// The trials of a grid; points that are the same experiment come once, with a note.
std::vector<Trial> grid_trials(const SweepSpec& spec, SweepRecipes& recipes,
                               std::vector<std::string>& notes);

}  // namespace xp::sweeps
