// From the command line and [sweep] to a sweep's spec and the trials of its grid.
#include "sweeps/sweep_describe.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/recipe/recipe.h"
#include "core/schema/experiment.h"
#include "core/schema/load.h"
#include "core/schema/metric_names.h"
#include "sweeps/exclude.h"
#include "sweeps/space.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

std::pair<std::string, std::string> split_assignment(const std::string& text, const char* flag) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(fmt::format("{} {}: expected KEY=SPEC, as in {} tome.r=0:64:8", flag, text, flag));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// --zip "a=SPEC b=SPEC": its keys are swept, and go forward together.
void take_params(const SweepArguments& arguments, const recipe::SweepSection& section,
                 SweepSpec& spec) {
  for (const std::string& text : arguments.params)
    spec.params.push_back(split_assignment(text, "--param"));
  for (const std::string& text : arguments.zip) {
    std::vector<std::string> keys;
    for (const std::string& word : words_of(text)) {
      spec.params.push_back(split_assignment(word, "--zip"));
      keys.push_back(spec.params.back().first);
    }
    if (keys.size() < 2)
      throw Error(
          fmt::format("--zip \"{}\": expected two keys or more, as in --zip \"model.fstride=10,16 "
                      "model.tstride=10,16\"",
                      text));
    spec.zip.push_back(std::move(keys));
  }
  if (spec.params.empty()) {
    spec.params = section.params;
    spec.zip = section.zip;
  }
}

void take_choices(const SweepArguments& arguments, const recipe::Recipe& recipe, SweepSpec& spec) {
  const recipe::SweepSection& section = recipe.sweep();
  constexpr std::string_view kStrategies[] = {"grid", "random", "sobol", "tpe", "asha"};
  spec.strategy = arguments.strategy.empty()
                      ? std::string(kStrategies[static_cast<size_t>(section.strategy)])
                      : arguments.strategy;
  spec.trials = arguments.trials >= 0 ? arguments.trials : section.trials;
  spec.seeds = arguments.seeds >= 1 ? arguments.seeds : section.seeds;
  spec.rung_first = section.rung_first;
  spec.rung_factor = section.rung_factor;
  spec.exclude = arguments.exclude.empty() ? section.exclude : arguments.exclude;
  std::vector<std::string> objectives = arguments.objectives;
  if (!arguments.metric.empty()) objectives.insert(objectives.begin(), arguments.metric);
  if (objectives.empty()) {
    if (!section.metric.empty()) objectives.push_back(section.metric);
    for (const std::string& text : section.objectives) {
      if (text != section.metric) objectives.push_back(text);
    }
  }
  for (const std::string& text : objectives) {
    if (!recipe::accepts_objective(text))
      throw Error(fmt::format(
          "--metric {}: expected max:STAGE.METRIC or min:STAGE.METRIC, as in max:eval.mAP", text));
    spec.objectives.push_back(parse_objective(text));
    if (const auto why = schema::why_no_metric(recipe, spec.objectives.back().metric))
      throw Error(fmt::format("{} {}: {}", text == arguments.metric ? "--metric" : "--objective",
                              text, *why));
  }
  // With one, the metric decides alone: further objectives would make a front of what was asked
  // for.
  if (!arguments.metric.empty() && arguments.objectives.empty()) spec.objectives.resize(1);
}

void check_strategy(const SweepSpec& spec, const recipe::Recipe& recipe) {
  if (spec.strategy != "grid" && spec.trials <= 0)
    throw Error(
        fmt::format("--strategy {} needs --trials N: it would go on for ever", spec.strategy));
  if ((spec.strategy == "tpe" || spec.strategy == "asha") && spec.objectives.empty())
    throw Error(
        fmt::format("--strategy {} looks for something: --metric max:STAGE.METRIC says for what",
                    spec.strategy));
  if (spec.strategy != "asha") return;
  const std::string& metric = spec.objectives.front().metric;
  const size_t dot = metric.find('.');
  const recipe::Stage* stage = recipe.find_stage(metric.substr(0, dot));
  const bool trains = stage != nullptr && (stage->kind == "train" || stage->kind == "pretrain");
  if (!trains || dot == std::string::npos || metric.find("val.", dot) != dot + 1) {
    throw Error(fmt::format(
        "--strategy asha stops trials by what they reach epoch by epoch: {} has no epochs; "
        "--metric max:TRAIN_STAGE.val.METRIC has (with a validation split)",
        metric));
  }
}

// A key that changes nothing as the recipe stands may do so with other values of the sweep; one
// that changes nothing with any is a mistake.
void check_settable(const Space& space, const std::vector<Point>& points,
                    const SweepRecipes& recipes, const SweepSpec& spec) {
  for (const Axis& axis : space.axes) {
    std::optional<Error> first;
    bool settable = false;
    for (size_t i = 0; i < points.size() && !settable; ++i) {
      SweepRecipes::Values values;
      for (size_t k = 0; k < space.axes.size(); ++k)
        values.emplace_back(space.axes[k].key, set_text(points[i][k]));
      try {
        recipes.load(values, spec.seed).check_settable(axis.key, "--param");
        settable = true;
      } catch (const recipe::RecipeError&) {
        throw;
      } catch (const Error& error) {
        if (!first) first = error;
      }
    }
    if (!settable && first) throw Error(*first);
  }
}

// The recipe as it stands; where it is not valid by itself (it lacks a swept key), with the values
// of the first point of --param, which `out` then has.
run::PlannedRun plan_base(const run::RunArguments& run, const run::Workspace& workspace,
                          const SweepArguments& arguments, recipe::LoadOptions options,
                          DescribedSweep& out) {
  try {
    return run::plan_file(run, workspace, out.spec.recipe, options);
  } catch (const recipe::RecipeError&) {
    SweepSpec swept;
    take_params(arguments, {}, swept);
    if (swept.params.empty()) throw;
    out.base_values = first_values(make_space(schema::language(), swept.params, swept.zip));
    for (const auto& [key, text] : out.base_values)
      options.overrides.push_back({key, text, "--param"});
    return run::plan_file(run, workspace, out.spec.recipe, options);
  }
}

// The hash of a recipe but for swept keys: it is the same whichever value comes first.
std::string hash_without(const recipe::Recipe& recipe, const SweepRecipes::Values& values) {
  std::istringstream lines(recipe.canonical());
  Digest digest;
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(" = "));
    const bool swept = std::any_of(values.begin(), values.end(), [&key](const auto& value) {
      return key.ends_with("." + value.first);
    });
    if (!swept) digest.add_field(line);
  }
  return digest.hex();
}

std::string family_of(const SweepSpec& spec, const std::string& base_hash) {
  Digest digest;
  digest.add_field(base_hash).add_field(spec.strategy);
  std::map<std::string, std::string> params;
  for (const auto& [key, text] : spec.params) params[key] = text;
  for (const auto& [key, text] : params) {
    digest.add_field(key);
    // A grid may be widened; what a strategy learnt belongs to its space and its goal.
    if (spec.strategy != "grid") digest.add_field(text);
  }
  if (spec.strategy != "grid") {
    for (const auto& objective : spec.objectives) digest.add_field(objective_text(objective));
    digest.add_field(std::to_string(spec.seeds));
  }
  return digest.hex().substr(0, 32);
}

}  // namespace

DescribedSweep describe_sweep(const SweepArguments& arguments, const run::Workspace& workspace,
                              std::vector<std::string> argv) {
  DescribedSweep out;
  SweepSpec& spec = out.spec;
  spec.recipe =
      fs::absolute(run::recipe_file(arguments.run, workspace)).lexically_normal().string();
  spec.folder = fs::current_path().string();
  spec.devices = arguments.run.devices;
  spec.argv = std::move(argv);
  recipe::LoadOptions options = run::load_options(arguments.run);
  for (const recipe::Override& change : options.overrides)
    spec.sets.emplace_back(change.key, change.text);
  options.read = [&spec](const fs::path& file) -> std::optional<std::string> {
    if (!fs::is_regular_file(file)) {
      if (file == spec.recipe) return read_file(file);  // throws what is wrong with it
      return std::nullopt;
    }
    return spec.files[file.string()] = read_file(file);
  };
  options.environment = [&spec](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return spec.environment[name] =
               value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  options.working_folder = spec.folder;
  run::RunArguments run = arguments.run;
  run.put_off = true;
  run::PlannedRun base = plan_base(run, workspace, arguments, options, out);
  spec.variants = base.recipe.applied().variants;
  spec.name = base.recipe.name();
  spec.seed = static_cast<uint64_t>(base.recipe.base().build<schema::ExperimentOptions>().seed);
  take_params(arguments, base.recipe.sweep(), spec);
  take_choices(arguments, base.recipe, spec);
  if (spec.params.empty() && spec.seeds <= 1)
    throw Error(fmt::format("nothing is swept: --param KEY=SPEC, --seeds N, or [sweep] in {}",
                            spec.recipe));
  check_strategy(spec, base.recipe);
  spec.family =
      family_of(spec, out.base_values.empty() ? base.recipe.hash()
                                              : hash_without(base.recipe, out.base_values));
  const Space space = make_space(schema::language(), spec.params, spec.zip);
  const Exclude exclude(space, spec.exclude);  // its faults are told here
  std::vector<Point> points;
  if (space.has_ranges() || space.size() > 64) {
    const std::vector<double> middle(space.dimensions.size(), 0.5);
    points.push_back(point_at(space, middle));
  } else {
    points = grid(space);
  }
  const SweepRecipes recipes(spec, workspace);
  check_settable(space, points, recipes, spec);
  out.graph = std::move(base.plan.graph);
  out.notes = std::move(base.notes);
  return out;
}

std::vector<Trial> grid_trials(const SweepSpec& spec, SweepRecipes& recipes,
                               std::vector<std::string>& notes) {
  const Space space = make_space(schema::language(), spec.params, spec.zip);
  const Exclude exclude(space, spec.exclude);
  std::vector<Trial> out;
  std::set<std::string> hashes;
  size_t excluded = 0, same = 0;
  for (const Point& point : grid(space)) {
    if (spec.trials > 0 && static_cast<int64_t>(out.size()) >= spec.trials * spec.seeds) break;
    SweepRecipes::Values values;
    for (size_t i = 0; i < point.size(); ++i)
      values.emplace_back(space.axes[i].key, set_text(point[i]));
    for (int64_t s = 0; s < spec.seeds; ++s) {
      const uint64_t seed = spec.seed + static_cast<uint64_t>(s);
      if (exclude.holds(point, static_cast<int64_t>(seed))) {
        ++excluded;
        continue;
      }
      Trial trial = recipes.make(values, seed);
      if (!hashes.insert(trial.hash).second) {
        ++same;
        continue;
      }
      out.push_back(std::move(trial));
    }
  }
  if (excluded > 0) notes.push_back(fmt::format("{} left out by exclude", excluded));
  if (same > 0)
    notes.push_back(fmt::format("{} left out: the same experiment as another trial", same));
  return out;
}

}  // namespace xp::sweeps
