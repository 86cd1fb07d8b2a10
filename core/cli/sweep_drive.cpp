// Works a sweep off: retries, slots or jobs, the watching, the summary.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/process.h"
#include "core/base/stop.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "core/cli/sweep.h"
#include "core/cli/sweep_text.h"
#include "core/cli/sweep_work.h"
#include "core/run/executor_settings.h"
#include "core/run/run_record.h"
#include "core/schema/load.h"
#include "sweeps/local.h"
#include "sweeps/propose.h"
#include "sweeps/slurm.h"
#include "tracker/query.h"

namespace xp::cli {
namespace fs = std::filesystem;

namespace {

void retry(sweeps::SweepDb& db, const std::vector<std::string>& states) {
  for (const std::string& state : states) {
    if (state == "failed" || state == "all") db.retry(sweeps::TrialState::kFailed);
    if (state == "lost" || state == "all") db.retry(sweeps::TrialState::kLost);
    if (state == "stopped" || state == "all") db.retry(sweeps::TrialState::kStopped);
  }
}

// Trials whose run was removed have to be run again: their numbers are gone.
void forget_removed_runs(sweeps::SweepDb& db, const run::Workspace& workspace) {
  const size_t gone = db.forget_removed(
      [runs = workspace.exp_folder() / "runs"](const auto& run) { return fs::exists(runs / run); });
  if (gone > 0) log::info("{} trial{} again: the run was removed", gone, gone == 1 ? "" : "s");
}

fs::path compute_program(const Session& session) {
  fs::path program = session.program.parent_path() / "exp-compute";
  if (!fs::exists(program))
    throw Error(fmt::format("{} is not there: this build has no compute part", program.string()),
                Exit::kFailed);
  return program;
}

bool shares_work(const std::vector<sweeps::Trial>& queued, SweepRecipes& recipes) {
  std::map<std::string, const sweeps::Trial*> bundles;
  for (const sweeps::Trial& trial : queued) bundles.emplace(trial.bundle, &trial);
  if (bundles.size() < 2) return false;
  std::vector<run::PlannedRun> plans;
  for (const auto& [bundle, trial] : bundles)
    plans.push_back(recipes.plan(trial->values, trial->seed, false));
  return !shared_pending(plans).empty();
}

std::unique_ptr<sweeps::Executor> local_executor(const sweeps::SweepDb& db,
                                                 const sweeps::SweepSpec& spec,
                                                 const SweepPlace& place,
                                                 const run::Workspace& workspace,
                                                 SweepRecipes& recipes, const Session& session) {
  const std::string program = compute_program(session).string();
  const std::string& devices = place.devices.empty() ? spec.devices : place.devices;
  sweeps::Machine machine = sweeps::this_machine(devices);
  machine.cores = workspace.resources.threads;
  sweeps::LocalOptions options;
  options.command = {program, "sweeps", "work", spec.id};
  options.slots = sweeps::make_slots(machine, place.jobs, devices, place.memory_mb);
  options.logs = db.folder() / "workers";
  options.locks = workspace.exp_folder() / "slots";
  options.memory = machine.memory;
  std::vector<sweeps::Trial> queued;
  for (const sweeps::Trial& trial : db.trials(true)) {
    if (trial.state == sweeps::TrialState::kQueued) queued.push_back(trial);
  }
  if (options.slots.size() > 1 && shares_work(queued, recipes)) {
    options.first = {
        program, "sweeps", "work", spec.id, "--shared", "--threads", std::to_string(machine.cores)};
    if (!devices.empty()) options.first.insert(options.first.end(), {"--devices", devices});
    log::info("the stages that trials share come first");
  }
  return std::make_unique<sweeps::LocalExecutor>(db, std::move(options));
}

// What --executor slurm needs; the settings are exp.toml's, the command's lines come after them.
sweeps::SlurmOptions slurm_options(const SweepPlace& place, const run::ExecutorSettings& settings,
                                   const run::Workspace& workspace, const Session& session) {
  sweeps::SlurmOptions out;
  const fs::path frozen = workspace.exp_folder() / "frozen";
  out.program = place.print ? sweeps::frozen_path(compute_program(session), frozen)
                            : sweeps::freeze_program(compute_program(session), frozen);
  out.workspace = fs::absolute(workspace.root);
  out.lines = settings.slurm;
  out.lines.insert(out.lines.end(), place.slurm.begin(), place.slurm.end());
  out.at_once = place.jobs;
  out.requeues = settings.requeues;
  out.signal_s = settings.signal_s;
  return out;
}

// Over exp.toml the sweep's first command, over that this one. A sweep of before it was noted is
// where its tasks were.
SweepPlace settled(SweepPlace place, const sweeps::SweepDb& db, const sweeps::SweepSpec& spec,
                   const run::ExecutorSettings& settings) {
  if (place.executor.empty()) place.executor = spec.executor;
  if (place.executor.empty() && sweeps::has_slurm_tasks(db.folder())) place.executor = "slurm";
  if (place.executor.empty()) place.executor = settings.kind;
  if (place.slurm.empty()) place.slurm = spec.slurm;
  if (place.jobs == 0) place.jobs = settings.jobs;
  if (place.memory_mb == 0) place.memory_mb = settings.memory_mb;
  return place;
}

}  // namespace

void declare_place(Arguments& declared, SweepPlace& place) {
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

int read_first(const SweepArguments& arguments, const DescribedSweep& described,
               const Session& session) {
  const auto& nodes = described.graph.nodes;
  if (std::none_of(nodes.begin(), nodes.end(), graph::reads_unread)) return 0;
  log::info("the data set was not read yet: it is prepared first, by a run of its own");
  // What the run says is no answer of this command.
  std::vector<std::string> command = {"/bin/sh", "-c", "exec \"$0\" \"$@\" 1>&2",
                                      compute_program(session).string()};
  if (session.quiet) command.emplace_back("--quiet");
  command.insert(command.end(), {"run", described.spec.recipe, "--until", "prepare", "--new"});
  for (const std::string& set : arguments.run.set) command.insert(command.end(), {"--set", set});
  for (const auto& [key, text] : described.base_values)
    command.insert(command.end(), {"--set", key + "=" + text});
  for (const std::string& variant : arguments.run.variants)
    command.insert(command.end(), {"--variant", variant});
  const pid_t child = start_process(command, {});
  bool passed_on = false;
  while (true) {
    if (const auto code = poll_process(child)) return *code;
    // Ctrl-C reaches the child by itself, a signal to this process alone does not.
    if (stop_requested() == StopReason::kPreempted && !std::exchange(passed_on, true))
      ::kill(child, SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

int drive_sweep(const fs::path& folder, const SweepPlace& asked, const run::Workspace& workspace,
                const Session& session) {
  const run::ExecutorSettings settings = run::load_executor_settings(workspace.root);
  sweeps::SweepDb db = sweeps::SweepDb::open(folder);
  const sweeps::SweepSpec spec = db.spec();
  const SweepPlace place = settled(asked, db, spec, settings);
  SweepRecipes recipes(spec, workspace);
  db.reopen();
  retry(db, place.retry);
  forget_removed_runs(db, workspace);
  db.reclaim(wall_ns());
  sweeps::DriveOptions options;
  options.fail_fast = place.fail_fast;
  const run::PlannedRun base = recipes.plan_base();
  run::check_source_is_clean(base.recipe);
  options.max_failures =
      place.max_failures >= 0 ? place.max_failures : base.recipe.sweep().max_failures;
  for (const sweeps::Objective& objective : spec.objectives)
    options.selected_on_test =
        options.selected_on_test || measured_on_test(base.plan.graph, objective);
  const sweeps::Space space = sweeps::make_space(schema::language(), spec.params, spec.zip);
  if (spec.strategy != "grid") {
    options.propose = [&] {
      sweeps::propose(db, spec, space, [&](const auto& values, uint64_t seed) {
        return recipes.make(values, seed);
      });
    };
    options.propose();
  }
  const sweeps::Counts before = db.counts();
  log::info("sweep {}: {}", short_uid(spec.id), counts_text(before));
  sweeps::Driven driven;
  driven.counts = before;
  if (place.print) {
    fmt::print("{}", sweeps::job_script(slurm_options(place, settings, workspace, session), spec,
                                        workspace.exp_folder() / "sweeps" / spec.id,
                                        sweeps::bundle_heads(db.trials(true))));
    return 0;
  }
  if (before.queued + before.running > 0 || sweeps::proposes_more(db, spec)) {
    std::unique_ptr<sweeps::Executor> executor;
    if (place.executor == "slurm") {
      executor = std::make_unique<sweeps::SlurmExecutor>(
          db, slurm_options(place, settings, workspace, session));
      if (place.detach) {
        executor->tick(before.queued, before.queued);
        executor->stop(StopReason::kNone);
        return 0;
      }
    } else {
      executor = local_executor(db, spec, place, workspace, recipes, session);
    }
    driven = sweeps::drive(db, *executor, options);
  }
  const std::vector<sweeps::Trial> trials = db.trials(true);
  if (session.json) {
    fmt::print("{}", sweep_json(spec, trials, driven.halted, options.selected_on_test));
  } else {
    fmt::print("{}{}", trials_table(spec, trials, {}),
               sweep_summary(spec, trials, options.selected_on_test));
    fmt::print("{}; look further: exp report {}\n", counts_text(driven.counts), short_uid(spec.id));
  }
  if (!driven.halted.empty()) log::error("the sweep has ended early: {}", driven.halted);
  if (driven.stopped != StopReason::kNone) {
    log::info("the same command goes on from here, and so does `exp sweeps resume {}`",
              short_uid(spec.id));
    return static_cast<int>(exit_code(driven.stopped));
  }
  const bool bad = driven.counts.failed + driven.counts.lost > 0 || !driven.halted.empty();
  return bad ? static_cast<int>(Exit::kFailed) : 0;
}

}  // namespace xp::cli
