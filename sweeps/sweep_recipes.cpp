#include "sweeps/sweep_recipes.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/schema/load.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

// Points of a grid that are listed just to look at one.
constexpr double kSmall = 10'000;

bool evaluates(const graph::Node& node) {
  return node.kind == "evaluate" || node.kind == "embed" || node.kind == "baseline" ||
         node.kind == "aggregate";
}

std::string digest_of(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  Digest digest;
  for (const std::string& key : keys) digest.add_field(key);
  return digest.hex().substr(0, 32);
}

recipe::Override override_of(const std::string& key, const std::string& text, const char* flag) {
  recipe::Override out;
  out.key = key;
  out.text = text;
  out.flag = flag;
  return out;
}

std::optional<std::string> from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

SweepRecipes::SweepRecipes(const SweepSpec& spec, run::Workspace workspace)
    : spec_(spec), workspace_(std::move(workspace)), inputs_(workspace_.cache / "inputs") {
  inputs_.look_once();
}

recipe::Recipe SweepRecipes::load(const Values& values, uint64_t seed) const {
  recipe::LoadOptions options;
  options.variants = spec_.variants;
  for (const auto& [key, text] : spec_.sets)
    options.overrides.push_back(override_of(key, text, "--set"));
  for (const auto& [key, text] : values)
    options.overrides.push_back(override_of(key, text, "--param"));
  if (seed != spec_.seed || spec_.seeds > 1)
    options.overrides.push_back(override_of("experiment.seed", std::to_string(seed), "--seeds"));
  options.working_folder = spec_.folder;
  options.read = [this](const fs::path& file) -> std::optional<std::string> {
    const auto at = spec_.files.find(file.string());
    return at == spec_.files.end() ? std::nullopt : std::optional<std::string>(at->second);
  };
  options.environment = [this](const std::string& name) -> std::optional<std::string> {
    const auto at = spec_.environment.find(name);
    return at == spec_.environment.end() ? from_environment(name) : at->second;
  };
  return schema::load_recipe(spec_.recipe, options);
}

Trial SweepRecipes::make(const Values& values, uint64_t seed) {
  const run::PlannedRun planned = plan(values, seed, false);
  Trial out;
  out.values = values;
  out.seed = seed;
  out.hash = planned.recipe.hash();
  out.bundle = bundle_of(planned.plan.graph);
  out.goals = goals_of(planned.plan.graph);
  return out;
}

run::PlannedRun SweepRecipes::plan(const Values& values, uint64_t seed, bool reasons) {
  run::RunArguments arguments;
  arguments.request.reasons = reasons;
  return run::plan_recipe(arguments, workspace_, load(values, seed), {}, inputs_);
}

run::PlannedRun SweepRecipes::plan_base() {
  try {
    return plan({}, spec_.seed, false);
  } catch (const recipe::RecipeError&) {
    const auto space = make_space(schema::language(), spec_.params, spec_.zip);
    return plan(first_values(space), spec_.seed, false);
  }
}

SweepRecipes::Values first_values(const Space& space) {
  const bool wide = space.has_ranges() || space.size() > kSmall;
  const Point point = wide ? point_at(space, std::vector<double>(space.dimensions.size(), 0.5))
                           : grid(space).front();
  SweepRecipes::Values out;
  for (size_t i = 0; i < point.size(); ++i) out.emplace_back(space.axes[i].key, set_text(point[i]));
  return out;
}

std::string bundle_of(const graph::Graph& graph) {
  std::vector<std::string> keys;
  for (const graph::Node& node : graph.nodes) {
    if (!evaluates(node)) keys.push_back(node.key);
  }
  return digest_of(std::move(keys));
}

std::string goals_of(const graph::Graph& graph) {
  std::vector<std::string> keys;
  for (const size_t goal : graph.goals) keys.push_back(graph.nodes[goal].key);
  return digest_of(std::move(keys));
}

bool measured_on_test(const graph::Graph& graph, const Objective& objective) {
  const std::string stage = objective.metric.substr(0, objective.metric.find('.'));
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const graph::Node& node) {
    if (node.stage != stage) return false;
    if (node.kind == "train" || node.kind == "pretrain")
      return node.options.find("dataset.val = \"test\"") != std::string::npos;
    if (node.kind != "aggregate")
      return node.options.find("eval.split = \"test\"") != std::string::npos;
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](const graph::Edge& edge) {
      return edge.node != graph::Edge::kUser &&
             graph.nodes[edge.node].options.find("eval.split = \"test\"") != std::string::npos;
    });
  });
}

}  // namespace xp::sweeps
