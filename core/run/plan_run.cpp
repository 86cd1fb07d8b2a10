#include "core/run/plan_run.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/gpu.h"
#include "core/base/launch.h"
#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/graph/build.h"
#include "core/schema/check.h"
#include "core/schema/experiment.h"
#include "core/schema/load.h"

namespace xp::run {
namespace fs = std::filesystem;

recipe::LoadOptions load_options(const RunArguments& arguments) {
  recipe::LoadOptions out;
  out.variants = arguments.variants;
  for (const std::string& text : arguments.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(fmt::format("--set {}: expected KEY=VALUE, as in --set train.epochs=3", text));
    }
    recipe::Override change;
    change.key = text.substr(0, equals);
    change.text = text.substr(equals + 1);
    out.overrides.push_back(std::move(change));
  }
  return out;
}

fs::path recipe_file(const RunArguments& arguments, const Workspace& workspace) {
  if (!arguments.recipe.empty()) return arguments.recipe;
  if (!workspace.default_recipe.empty()) return workspace.default_recipe;
  throw Error("which recipe? `exp run RECIPE.toml`, or set default_recipe in exp.toml");
}

graph::Graph graph_of(const RunArguments& arguments, const Workspace& workspace,
                      const recipe::Recipe& recipe, std::vector<std::string>& notes,
                      graph::InputDigests& inputs) {
  const graph::Cache cache(workspace.cache);
  std::unique_ptr<Progress> bar;
  uint64_t shown = 0;
  uint64_t total_shown = 0;
  const auto progress = [&](uint64_t done, uint64_t total) {
    throw_if_stopped();
    if (!bar || done < shown || total != total_shown) {  // the next folder or list
      bar = std::make_unique<Progress>("digests of the input files", static_cast<int64_t>(total),
                                       "files");
      shown = 0;
      total_shown = total;
    }
    bar->add(static_cast<int64_t>(done - shown));
    shown = done;
  };
  graph::Target target;
  target.gpu = computes_on_gpu(workspace.resources.devices);
  target.bf16_units = has_bf16_units();
  if (arguments.put_off) target.cache = &cache;
  return graph::build_graph(recipe, target, inputs, progress, notes);
}

PlannedRun plan_recipe(const RunArguments& arguments, const Workspace& workspace,
                       recipe::Recipe recipe, std::vector<std::string> notes,
                       graph::InputDigests& inputs) {
  const auto devices = static_cast<int64_t>(workspace.resources.devices.size());
  schema::check_devices(recipe, std::max<int64_t>(devices, launched_rank().world));
  const graph::Cache cache(workspace.cache);
  const graph::Graph graph = graph_of(arguments, workspace, recipe, notes, inputs);
  graph::Plan plan = graph::make_plan(graph, cache, &inputs, arguments.request);
  return {workspace, std::move(recipe), cache, std::move(plan), std::move(notes)};
}

Workspace run_workspace(const RunArguments& arguments, const fs::path& root) {
  Workspace workspace = load_workspace(root);
  if (!arguments.devices.empty()) workspace.resources.devices = parse_devices(arguments.devices);
  workspace.any_memory |= arguments.any_memory;
  if (arguments.threads > 0) workspace.resources.threads = arguments.threads;
  return workspace;
}

PlannedRun plan_file(const RunArguments& arguments, const Workspace& workspace,
                     const fs::path& file, recipe::LoadOptions options) {
  graph::InputDigests inputs(workspace.cache / "inputs");
  recipe::Recipe recipe = schema::load_recipe(file, options);
  const std::string fallback = recipe.base().build<schema::ExperimentOptions>().without_data;
  const bool applied = std::find(options.variants.begin(), options.variants.end(), fallback) !=
                       options.variants.end();
  if (fallback.empty() || applied)
    return plan_recipe(arguments, workspace, std::move(recipe), {}, inputs);
  try {
    return plan_recipe(arguments, workspace, std::move(recipe), {}, inputs);
  } catch (const graph::MissingInput& missing) {
    if (missing.dataset().empty()) throw;
    options.variants.push_back(fallback);
    const std::string note = fmt::format(
        "{}; this run takes variant {} of the recipe in its place (experiment.without_data)",
        missing.message(), fallback);
    return plan_recipe(arguments, workspace, schema::load_recipe(file, options), {note}, inputs);
  }
}

PlannedRun plan_run(const RunArguments& arguments, const fs::path& root) {
  const Workspace workspace = run_workspace(arguments, root);
  return plan_file(arguments, workspace, recipe_file(arguments, workspace),
                   load_options(arguments));
}

}  // namespace xp::run
