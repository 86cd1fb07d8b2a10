#include "core/cli/sweep.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "core/cli/sweep_text.h"
#include "core/graph/build.h"
#include "core/run/executor_settings.h"
#include "core/schema/load.h"
#include "sweeps/propose.h"
#include "tracker/query.h"

namespace xp::cli {
namespace fs = std::filesystem;

namespace {

constexpr size_t kAskAbove = 1000;

// What carrying a trial out would do.
std::string plan_state(const graph::Plan& plan) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const graph::State state = plan.steps[i].state;
    if (state == graph::State::kCached || state == graph::State::kNotNeeded) continue;
    missing.push_back(plan.graph.nodes[i].name);
  }
  return missing.empty() ? "cached" : fmt::format("runs {}", fmt::join(missing, ", "));
}

class Sweep : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("recipe", arguments_.run.recipe,
                    "recipe file (default: default_recipe of exp.toml)");
    declared
        .option("--param", arguments_.params,
                "KEY=SPEC: 0:64:8, a,b,c, lin:0:1:5, log:1e-5:1e-3:3, choice:a|b, "
                "uniform:lo:hi, loguniform:lo:hi, int:lo:hi; may be repeated; "
                "replaces [sweep] params")
        .take_all();
    declared
        .option("--zip", arguments_.zip, "\"KEY=SPEC KEY=SPEC\": values that go forward together")
        .take_all();
    declared
        .option("--exclude", arguments_.exclude, "a filter: trials that it holds for are left out")
        .take_all();
    declared.option("--seeds", arguments_.seeds, "seeds for each trial").range(1, 1000);
    declared.option("--strategy", arguments_.strategy, "grid, random, sobol, tpe or asha")
        .one_of({"grid", "random", "sobol", "tpe", "asha"});
    declared.option("--trials", arguments_.trials, "points to try; a grid is whole without it")
        .positive();
    declared.option("--metric", arguments_.metric,
                    "max:STAGE.METRIC: what the best trial is best at");
    declared
        .option("--objective", arguments_.objectives,
                "one of several goals; the result is their Pareto front")
        .take_all();
    declared.option("--set", arguments_.run.set, "KEY=VALUE on top of the recipe; may be repeated")
        .take_all();
    declared
        .option("--variant", arguments_.run.variants,
                "a [variants.NAME] of the recipe; may be repeated")
        .take_all();
    declare_place(declared, arguments_.place);
    declared.flag("--dry-run", arguments_.dry_run, "print every trial and what of it is cached");
    declared.flag("--yes", arguments_.yes,
                  fmt::format("make more than {} trials without asking", kAskAbove));
    declared.flag("--new", arguments_.fresh,
                  "a sweep of its own, also where one of the same kind could be widened");
    declared.footer(
        "The same command again runs what is missing; a wider one adds to the same sweep. "
        "docs/sweeps.md tells more.\n\n"
        "Examples:\n"
        "  exp sweep --param tome.r=0:64:8\n"
        "  exp sweep recipes/audioset/kd.toml --param kd.lambda=0.1,0.5,1 --param tome.r=0:32:16 "
        "--seeds 3 --jobs 2\n"
        "  exp sweep --param optimiser.lr=loguniform:1e-5:1e-3 --strategy tpe --trials 40 --metric "
        "max:eval.mAP\n"
        "  exp sweep recipes/audioset/kd.toml --executor slurm --print\n");
  }

  int run(Session& session) override {
    arguments_.run.devices = arguments_.place.devices;
    const run::Workspace workspace = run::run_workspace(arguments_.run, session.workspace());
    DescribedSweep described = describe(workspace, session);
    for (const std::string& note : described.notes) log::warn("{}", note);
    sweeps::SweepSpec& spec = described.spec;
    SweepRecipes recipes(spec, workspace);
    check_size(spec);
    if (!arguments_.dry_run && !arguments_.place.print && prepares_here(workspace)) {
      if (const int code = read_first(arguments_, described, session); code != 0) return code;
    }
    std::vector<std::string> notes;
    const std::vector<sweeps::Trial> trials =
        spec.strategy == "grid" ? grid_trials(spec, recipes, notes) : std::vector<sweeps::Trial>();
    for (const std::string& note : notes) log::info("{}", note);
    if (spec.strategy == "grid" && trials.empty())
      throw Error("no trial is left: exclude leaves all of them out");
    if (arguments_.dry_run)
      return dry_run(earlier(workspace, spec), spec, trials, recipes, session);
    spec.executor = executor(workspace);
    spec.slurm = arguments_.place.slurm;
    if (arguments_.place.print) return print_script(spec, trials, workspace, session);
    return drive_sweep(stored(spec, trials, workspace), arguments_.place, workspace, session);
  }

 private:
  // Jobs of a cluster prepare on its machines.
  bool prepares_here(const run::Workspace& workspace) const {
    return executor(workspace) != "slurm";
  }

  std::string executor(const run::Workspace& workspace) const {
    const std::string& asked = arguments_.place.executor;
    return asked.empty() ? run::load_executor_settings(workspace.root).kind : asked;
  }

  int print_script(sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                   const run::Workspace& workspace, const Session& session) const {
    const SweepSketch sketch;
    std::optional<fs::path> there = earlier(workspace, spec);
    if (there) there = sketch.copy_of(*there);
    const fs::path folder =
        store_sweep(there, spec, trials, sketch.folder(), arguments_.place.jobs);
    return drive_sweep(folder, arguments_.place, workspace, session);
  }

  std::optional<fs::path> earlier(const run::Workspace& workspace,
                                  const sweeps::SweepSpec& spec) const {
    return arguments_.fresh ? std::nullopt : earlier_sweep(workspace, spec.family);
  }

  // One at a time: of two commands that start at once the second finds the first one's sweep.
  fs::path stored(sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                  const run::Workspace& workspace) const {
    make_folders(workspace.exp_folder());
    const FileLock turn = FileLock::wait(workspace.exp_folder() / "sweeps.lock");
    return store_sweep(earlier(workspace, spec), spec, trials, workspace.exp_folder() / "sweeps",
                       arguments_.place.jobs);
  }

  DescribedSweep describe(const run::Workspace& workspace, const Session& session) const {
    try {
      return describe_sweep(arguments_, workspace, session);
    } catch (const graph::MissingInput& missing) {
      if (missing.dataset().empty()) throw;
      const fs::path file = run::recipe_file(arguments_.run, workspace);
      throw Error(missing.place(),
                  fmt::format("{}; `exp run {}` says what has to lie there", missing.message(),
                              file.string()),
                  Exit::kData);
    }
  }

  void check_size(const sweeps::SweepSpec& spec) const {
    const sweeps::Space space = sweeps::make_space(schema::language(), spec.params, spec.zip);
    const double points = spec.strategy == "grid" ? space.size() : static_cast<double>(spec.trials);
    const double size = points * static_cast<double>(spec.seeds);
    if (spec.strategy == "grid" && space.has_ranges()) sweeps::grid(space);  // throws what is wrong
    if (size > kAskAbove && !arguments_.yes)
      throw Error(fmt::format("{:.0f} trials; --yes if that is meant", size));
    if (size > 1e6) throw Error(fmt::format("{:.3g} trials; a sweep has at most a million", size));
  }

  int dry_run(const std::optional<fs::path>& earlier, const sweeps::SweepSpec& spec,
              std::vector<sweeps::Trial> trials, SweepRecipes& recipes,
              const Session& session) const {
    std::map<std::string, sweeps::Trial> known;
    if (earlier) {
      const sweeps::SweepDb db = sweeps::SweepDb::open(*earlier);
      for (const sweeps::Trial& trial : db.trials(false)) known[trial.hash] = trial;
    }
    if (spec.strategy != "grid") {
      fmt::print("{} points by {}, {} there already; each is proposed when its turn comes\n",
                 spec.trials, spec.strategy,
                 known.size() / static_cast<size_t>(std::max<int64_t>(1, spec.seeds)));
      return 0;
    }
    std::vector<std::string> states;
    int64_t to_run = 0;
    for (sweeps::Trial& trial : trials) {
      const auto at = known.find(trial.hash);
      if (at != known.end()) trial = at->second;
      const bool ended = at != known.end() && trial.state != sweeps::TrialState::kQueued;
      states.push_back(ended ? std::string(sweeps::text(trial.state))
                             : plan_state(recipes.plan(trial.values, trial.seed, false).plan));
      to_run += ended ? 0 : 1;
    }
    if (session.json) {
      fmt::print("{}", sweep_json(spec, trials, "", false));
      return 0;
    }
    fmt::print("{}", trials_table(spec, trials, states));
    fmt::print("{} trials, {} to run{}\n", trials.size(), to_run,
               earlier ? fmt::format(" (sweep {})", short_uid(earlier->filename().string())) : "");
    return 0;
  }

  SweepArguments arguments_;
};

}  // namespace

std::optional<fs::path> earlier_sweep(const run::Workspace& workspace, const std::string& family) {
  for (const fs::path& folder : sweeps::sweep_folders(workspace.exp_folder())) {
    try {
      if (sweeps::SweepDb::open(folder).spec().family == family) return folder;
    } catch (const Error& error) {
      log::warn("{}", error.message());
    }
  }
  return std::nullopt;
}

fs::path store_sweep(const std::optional<fs::path>& earlier, sweeps::SweepSpec& spec,
                     const std::vector<sweeps::Trial>& trials, const fs::path& sweeps_folder,
                     int jobs) {
  if (!earlier) {
    spec.id = make_ulid();
    spec.lag = jobs <= 1 ? 0 : 2 * (jobs - 1);
    fs::path folder = sweeps_folder / spec.id;
    sweeps::SweepDb db = sweeps::SweepDb::create(folder, spec);
    if (spec.strategy == "grid") db.add(trials, false);
    return folder;
  }
  sweeps::SweepDb db = sweeps::SweepDb::open(*earlier);
  const sweeps::SweepSpec before = db.spec();
  spec.id = before.id;
  spec.lag = before.lag;
  spec.created_ns = before.created_ns;
  db.update_spec(spec);
  if (spec.strategy == "grid") db.add(trials, false);
  return *earlier;
}

SweepSketch::SweepSketch() : folder_(fs::temp_directory_path() / ("exp-sweep-" + make_ulid())) {
  make_folders(folder_);
}

SweepSketch::~SweepSketch() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path SweepSketch::copy_of(const fs::path& sweep) const {
  fs::path out = folder_ / sweep.filename();
  make_folders(out);
  sweeps::SweepDb::read(sweep).copy_to(out);
  return out;
}

std::unique_ptr<Command> make_sweep() { return std::make_unique<Sweep>(); }

}  // namespace xp::cli
