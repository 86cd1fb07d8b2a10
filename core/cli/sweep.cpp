#include "core/cli/sweep.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

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
#include "sweeps/space.h"
#include "sweeps/sweep_store.h"

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
    declare_place(declared, place_);
    declared.flag("--dry-run", dry_run_, "print every trial and what of it is cached");
    declared.flag("--yes", yes_, fmt::format("make more than {} trials without asking", kAskAbove));
    declared.flag("--new", fresh_,
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
    arguments_.run.devices = place_.devices;
    const run::Workspace workspace = run::run_workspace(arguments_.run, session.workspace());
    sweeps::DescribedSweep described = describe(workspace, session);
    for (const std::string& note : described.notes) log::warn("{}", note);
    sweeps::SweepSpec& spec = described.spec;
    sweeps::SweepRecipes recipes(spec, workspace);
    check_size(spec);
    if (!dry_run_ && !place_.print && prepares_here(workspace)) {
      if (const int code =
              sweeps::read_first(arguments_.run, described, session.program, session.quiet);
          code != 0)
        return code;
    }
    std::vector<std::string> notes;
    const std::vector<sweeps::Trial> trials = spec.strategy == "grid"
                                                  ? sweeps::grid_trials(spec, recipes, notes)
                                                  : std::vector<sweeps::Trial>();
    for (const std::string& note : notes) log::info("{}", note);
    if (spec.strategy == "grid" && trials.empty())
      throw Error("no trial is left: exclude leaves all of them out");
    if (dry_run_) return dry_run(earlier(workspace, spec), spec, trials, recipes, session);
    spec.executor = executor(workspace);
    spec.slurm = place_.slurm;
    if (place_.print) return print_script(spec, trials, workspace, session);
    return drive_sweep(stored(spec, trials, workspace), place_, workspace, session);
  }

 private:
  // Jobs of a cluster prepare on its machines.
  bool prepares_here(const run::Workspace& workspace) const {
    return executor(workspace) != "slurm";
  }

  std::string executor(const run::Workspace& workspace) const {
    const std::string& asked = place_.executor;
    return asked.empty() ? run::load_executor_settings(workspace.root).kind : asked;
  }

  int print_script(sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                   const run::Workspace& workspace, const Session& session) const {
    const sweeps::SweepSketch sketch;
    std::optional<fs::path> there = earlier(workspace, spec);
    if (there) there = sketch.copy_of(*there);
    const fs::path folder = sweeps::store_sweep(there, spec, trials, sketch.folder(), place_.jobs);
    return drive_sweep(folder, place_, workspace, session);
  }

  std::optional<fs::path> earlier(const run::Workspace& workspace,
                                  const sweeps::SweepSpec& spec) const {
    return fresh_ ? std::nullopt : sweeps::earlier_sweep(workspace, spec.family);
  }

  // One at a time: of two commands that start at once the second finds the first one's sweep.
  fs::path stored(sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                  const run::Workspace& workspace) const {
    make_folders(workspace.exp_folder());
    const FileLock turn = FileLock::wait(workspace.exp_folder() / "sweeps.lock");
    return sweeps::store_sweep(earlier(workspace, spec), spec, trials,
                               workspace.exp_folder() / "sweeps", place_.jobs);
  }

  sweeps::DescribedSweep describe(const run::Workspace& workspace, const Session& session) const {
    try {
      return sweeps::describe_sweep(arguments_, workspace, session.argv());
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
    if (size > kAskAbove && !yes_)
      throw Error(fmt::format("{:.0f} trials; --yes if that is meant", size));
    if (size > 1e6) throw Error(fmt::format("{:.3g} trials; a sweep has at most a million", size));
  }

  int dry_run(const std::optional<fs::path>& earlier, const sweeps::SweepSpec& spec,
              std::vector<sweeps::Trial> trials, sweeps::SweepRecipes& recipes,
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

  sweeps::SweepArguments arguments_;
  PlaceOptions place_;
  bool dry_run_ = false, yes_ = false, fresh_ = false;
};

}  // namespace

void declare_place(Arguments& declared, PlaceOptions& place) {
  declared
      .option("--jobs", place.jobs,
              "trials at a time: GPUs and cores are shared out (default: one a GPU, else 1)")
      .range(1, 1024);
  declared.option("--devices", place.devices, "as for `exp run`, for each trial");
  declared
      .option("--memory", place.memory_mb,
              "MB that a trial needs: fewer at a time where they do not fit")
      .positive();
  declared.option("--executor", place.executor, "local or slurm").one_of({"local", "slurm"});
  declared
      .option("--slurm", place.slurm, "an option of sbatch, as --partition=gpu; may be repeated")
      .take_all();
  declared.flag("--print", place.print, "slurm: print the job script and start nothing");
  declared.flag("--detach", place.detach, "slurm: submit and leave");
  declared.option("--retry", place.retry, "try trials again that are: failed, lost, stopped or all")
      .one_of({"failed", "lost", "stopped", "all"})
      .take_all();
  declared.flag("--fail-fast", place.fail_fast, "the first failure ends the sweep");
  declared.option("--max-failures", place.max_failures, "no trial begins after so many failures")
      .not_negative();
}

int drive_sweep(const fs::path& folder, const PlaceOptions& place, const run::Workspace& workspace,
                const Session& session) {
  sweeps::SweepDrive drive(folder, place, workspace, session.program);
  const sweeps::SweepSpec& spec = drive.spec();
  log::info("sweep {}: {}", short_uid(spec.id), counts_text(drive.counts()));
  if (place.print) {
    fmt::print("{}", drive.script());
    return 0;
  }
  const std::optional<sweeps::Driven> driven = drive.run();
  if (!driven) return 0;
  const std::vector<sweeps::Trial> trials = drive.trials();
  const bool on_test = drive.selected_on_test();
  if (session.json) {
    fmt::print("{}", sweep_json(spec, trials, driven->halted, on_test));
  } else {
    fmt::print("{}{}", trials_table(spec, trials, {}), sweep_summary(spec, trials, on_test));
    fmt::print("{}; look further: exp report {}\n", counts_text(driven->counts),
               short_uid(spec.id));
  }
  if (!driven->halted.empty()) log::error("the sweep has ended early: {}", driven->halted);
  if (driven->stopped != StopReason::kNone) {
    log::info("the same command goes on from here, and so does `exp sweeps resume {}`",
              short_uid(spec.id));
    return static_cast<int>(exit_code(driven->stopped));
  }
  const bool bad = driven->counts.failed + driven->counts.lost > 0 || !driven->halted.empty();
  return bad ? static_cast<int>(Exit::kFailed) : 0;
}

std::unique_ptr<Command> make_sweep() { return std::make_unique<Sweep>(); }

}  // namespace xp::cli
