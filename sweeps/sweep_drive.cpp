// Works a sweep off: retries, slots or jobs, the watching.
#include "sweeps/sweep_drive.h"

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
#include "core/run/run_record.h"
#include "core/schema/load.h"
#include "sweeps/local.h"
#include "sweeps/propose.h"
#include "sweeps/sweep_work.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

void retry(SweepDb& db, const std::vector<std::string>& states) {
  for (const std::string& state : states) {
    if (state == "failed" || state == "all") db.retry(TrialState::kFailed);
    if (state == "lost" || state == "all") db.retry(TrialState::kLost);
    if (state == "stopped" || state == "all") db.retry(TrialState::kStopped);
  }
}

fs::path compute_beside(const fs::path& program) {
  fs::path out = program.parent_path() / "exp-compute";
  if (!fs::exists(out))
    throw Error(fmt::format("{} is not there: this build has no compute part", out.string()),
                Exit::kFailed);
  return out;
}

bool shares_work(const std::vector<Trial>& queued, SweepRecipes& recipes) {
  std::map<std::string, const Trial*> bundles;
  for (const Trial& trial : queued) bundles.emplace(trial.bundle, &trial);
  if (bundles.size() < 2) return false;
  std::vector<run::PlannedRun> plans;
  for (const auto& [bundle, trial] : bundles)
    plans.push_back(recipes.plan(trial->values, trial->seed, false));
  return !shared_pending(plans).empty();
}

// Over exp.toml the sweep's first command, over that this one. A sweep of before it was noted is
// where its tasks were.
SweepPlace settled(SweepPlace place, const SweepDb& db, const SweepSpec& spec,
                   const run::ExecutorSettings& settings) {
  if (place.executor.empty()) place.executor = spec.executor;
  if (place.executor.empty() && has_slurm_tasks(db.folder())) place.executor = "slurm";
  if (place.executor.empty()) place.executor = settings.kind;
  if (place.slurm.empty()) place.slurm = spec.slurm;
  if (place.jobs == 0) place.jobs = settings.jobs;
  if (place.memory_mb == 0) place.memory_mb = settings.memory_mb;
  return place;
}

}  // namespace

SweepDrive::SweepDrive(const fs::path& folder, const SweepPlace& place,
                       const run::Workspace& workspace, fs::path program)
    : workspace_(workspace),
      program_(std::move(program)),
      settings_(run::load_executor_settings(workspace.root)),
      db_(SweepDb::open(folder)),
      spec_(db_.spec()),
      place_(settled(place, db_, spec_, settings_)),
      recipes_(spec_, workspace) {
  db_.reopen();
  retry(db_, place_.retry);
  forget_removed_runs();
  db_.reclaim(wall_ns());
  options_.fail_fast = place_.fail_fast;
  const run::PlannedRun base = recipes_.plan_base();
  run::check_source_is_clean(base.recipe);
  options_.max_failures =
      place_.max_failures >= 0 ? place_.max_failures : base.recipe.sweep().max_failures;
  for (const Objective& objective : spec_.objectives)
    options_.selected_on_test =
        options_.selected_on_test || measured_on_test(base.plan.graph, objective);
  if (spec_.strategy == "grid") return;
  options_.propose = [this, space = make_space(schema::language(), spec_.params, spec_.zip)] {
    propose(db_, spec_, space,
            [this](const auto& values, uint64_t seed) { return recipes_.make(values, seed); });
  };
  options_.propose();
}

// Trials whose run was removed have to be run again: their numbers are gone.
void SweepDrive::forget_removed_runs() {
  const size_t gone = db_.forget_removed([runs = workspace_.exp_folder() / "runs"](
                                             const auto& run) { return fs::exists(runs / run); });
  if (gone > 0) log::info("{} trial{} again: the run was removed", gone, gone == 1 ? "" : "s");
}

fs::path SweepDrive::compute_program() const { return compute_beside(program_); }

std::unique_ptr<Executor> SweepDrive::local_executor() {
  const std::string program = compute_program().string();
  const std::string& devices = place_.devices.empty() ? spec_.devices : place_.devices;
  Machine machine = this_machine(devices);
  machine.cores = workspace_.resources.threads;
  LocalOptions options;
  options.command = {program, "sweeps", "work", spec_.id};
  options.slots = make_slots(machine, place_.jobs, devices, place_.memory_mb);
  options.logs = db_.folder() / "workers";
  options.locks = workspace_.exp_folder() / "slots";
  options.memory = machine.memory;
  std::vector<Trial> queued;
  for (const Trial& trial : db_.trials(true)) {
    if (trial.state == TrialState::kQueued) queued.push_back(trial);
  }
  if (options.slots.size() > 1 && shares_work(queued, recipes_)) {
    options.first = {program,
                     "sweeps",
                     "work",
                     spec_.id,
                     "--shared",
                     "--threads",
                     std::to_string(machine.cores)};
    if (!devices.empty()) options.first.insert(options.first.end(), {"--devices", devices});
    log::info("the stages that trials share come first");
  }
  return std::make_unique<LocalExecutor>(db_, std::move(options));
}

// The settings are exp.toml's, the command's lines come after them. `frozen`: the program is
// copied.
SlurmOptions SweepDrive::slurm_options(bool frozen) const {
  SlurmOptions out;
  const fs::path folder = workspace_.exp_folder() / "frozen";
  out.program =
      frozen ? freeze_program(compute_program(), folder) : frozen_path(compute_program(), folder);
  out.workspace = fs::absolute(workspace_.root);
  out.lines = settings_.slurm;
  out.lines.insert(out.lines.end(), place_.slurm.begin(), place_.slurm.end());
  out.at_once = place_.jobs;
  out.requeues = settings_.requeues;
  out.signal_s = settings_.signal_s;
  return out;
}

std::string SweepDrive::script() const {
  return job_script(slurm_options(false), spec_, workspace_.exp_folder() / "sweeps" / spec_.id,
                    bundle_heads(trials()));
}

std::optional<Driven> SweepDrive::run() {
  const Counts before = counts();
  if (before.queued + before.running == 0 && !proposes_more(db_, spec_)) {
    Driven nothing;
    nothing.counts = before;
    return nothing;
  }
  if (place_.executor != "slurm") return drive(db_, *local_executor(), options_);
  SlurmExecutor executor(db_, slurm_options(true));
  if (!place_.detach) return drive(db_, executor, options_);
  executor.tick(before.queued, before.queued);
  executor.stop(StopReason::kNone);
  return std::nullopt;
}

int read_first(const run::RunArguments& asked, const DescribedSweep& described,
               const fs::path& program, bool quiet) {
  const auto& nodes = described.graph.nodes;
  if (std::none_of(nodes.begin(), nodes.end(), graph::reads_unread)) return 0;
  log::info("the data set was not read yet: it is prepared first, by a run of its own");
  // What the run says is no answer of this command.
  std::vector<std::string> command = {"/bin/sh", "-c", "exec \"$0\" \"$@\" 1>&2",
                                      compute_beside(program).string()};
  if (quiet) command.emplace_back("--quiet");
  command.insert(command.end(), {"run", described.spec.recipe, "--until", "prepare", "--new"});
  for (const std::string& set : asked.set) command.insert(command.end(), {"--set", set});
  for (const auto& [key, text] : described.base_values)
    command.insert(command.end(), {"--set", key + "=" + text});
  for (const std::string& variant : asked.variants)
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

}  // namespace xp::sweeps
