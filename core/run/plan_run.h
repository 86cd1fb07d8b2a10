#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/graph/cache.h"
#include "core/graph/inputs.h"
#include "core/graph/plan.h"
#include "core/recipe/recipe.h"
#include "core/run/workspace.h"

namespace xp::run {

/// What is to be run, and how.
struct RunArguments {
  std::string recipe;            ///< empty = the workspace's default
  std::vector<std::string> set;  ///< "key=value"
  std::vector<std::string> variants;
  graph::PlanRequest request;  ///< --from, --until, --force
  std::string devices;
  bool fresh = false;  ///< --new
  bool check = false;
  int64_t overfit = 0;
  int threads = 0;          ///< 0 = the workspace's
  std::string run;          ///< --run ULID: go on with this one (exp queue)
  std::string parent;       ///< --parent RUN: the one that this comes from
  bool any_memory = false;  ///< --any-memory: also what needs more memory than there is
  int nodes = 0;            ///< --nodes: as one srun job on so many nodes; 0 = here
  /// Data sets that would have to be read for their digests are not: keys stay provisional.
  bool put_off = false;
};

/// A recipe, planned against the workspace's cache.
struct PlannedRun {
  Workspace workspace;
  recipe::Recipe recipe;
  graph::Cache cache;
  graph::Plan plan;
  std::vector<std::string> notes;  ///< lines that a person should see first
};

/// Loads, plans for the workspace in `root`; shows progress while files have to be read. Throws
/// Error for the user's mistakes.
PlannedRun plan_run(const RunArguments& arguments, const std::filesystem::path& root);

/// The steps of plan_run one by one, for sweeps. The workspace as the arguments change it:
Workspace run_workspace(const RunArguments& arguments, const std::filesystem::path& root);
/// the recipe file, the workspace's default where none is named;
std::filesystem::path recipe_file(const RunArguments& arguments, const Workspace& workspace);
/// variants and --set;
recipe::LoadOptions load_options(const RunArguments& arguments);
/// loads and plans, with the variant of experiment.without_data where the data is not there;
PlannedRun plan_file(const RunArguments& arguments, const Workspace& workspace,
                     const std::filesystem::path& file, recipe::LoadOptions options);
/// plans a loaded recipe. `inputs` may be shared by several plans.
PlannedRun plan_recipe(const RunArguments& arguments, const Workspace& workspace,
                       recipe::Recipe recipe, std::vector<std::string> notes,
                       graph::InputDigests& inputs);

/// The graph of a recipe, its digests by `inputs`; shows progress while files have to be read.
graph::Graph graph_of(const RunArguments& arguments, const Workspace& workspace,
                      const recipe::Recipe& recipe, std::vector<std::string>& notes,
                      graph::InputDigests& inputs);

}  // namespace xp::run
