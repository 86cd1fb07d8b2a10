#include "core/cli/sweeps.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/run_text.h"
#include "core/cli/sweep_text.h"
#include "sweeps/slurm.h"
#include "sweeps/sweep_recipes.h"
#include "sweeps/sweep_store.h"

namespace xp::cli {
namespace fs = std::filesystem;

namespace {

constexpr const char* kActions[] = {"status", "cancel", "resume", "work"};

// A sweep as it is now: what dead workers held is given back first, where the disk lets it. Throws
// Error where it cannot be read.
sweeps::SweepDb look_at(const fs::path& folder) {
  try {
    sweeps::SweepDb db = sweeps::SweepDb::open(folder);
    db.reclaim(wall_ns());
    return db;
  } catch (const Error&) {
    return sweeps::SweepDb::read(folder);
  }
}

// One line of `exp sweeps`.
struct Listed {
  std::vector<std::string> row;
  nlohmann::ordered_json json;
};

Listed listed(const fs::path& folder) {
  const sweeps::SweepDb db = look_at(folder);
  const sweeps::SweepSpec spec = db.spec();
  const sweeps::Counts counts = db.counts();
  std::string swept;
  for (const auto& [key, text] : spec.params)
    swept += fmt::format("{}{}={}", swept.empty() ? "" : " ", key, text);
  std::string trials = counts_text(counts);
  if (!db.halted().empty()) trials += "; halted: " + db.halted();
  return {{short_uid(spec.id), spec.name, age_text(spec.created_ns), spec.strategy, swept, trials},
          {{"id", spec.id},
           {"name", spec.name},
           {"strategy", spec.strategy},
           {"trials", counts.all()},
           {"done", counts.done},
           {"running", counts.running},
           {"queued", counts.queued},
           {"failed", counts.failed},
           {"stopped", counts.stopped},
           {"lost", counts.lost},
           {"halted", db.halted()}}};
}

bool on_test(const sweeps::SweepSpec& spec, const run::Workspace& workspace) {
  if (spec.objectives.empty()) return false;
  try {
    sweeps::SweepRecipes recipes(spec, workspace);
    const run::PlannedRun base = recipes.plan_base();
    return std::any_of(spec.objectives.begin(), spec.objectives.end(),
                       [&](const sweeps::Objective& objective) {
                         return sweeps::measured_on_test(base.plan.graph, objective);
                       });
  } catch (const Error&) {
    return false;  // its data are gone: its numbers are not
  }
}

class Sweeps final : public CommandOf<SweepsArguments> {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

 private:
  int list(const Session& session, const run::Workspace& workspace) const;
  int status(const Session& session, const run::Workspace& workspace) const;
  int cancel(const run::Workspace& workspace) const;
};

void Sweeps::declare(Arguments& declared) {
  declared.option("action", asked_.action, "status (default), cancel or resume");
  declared.option(
      "id", asked_.share.id,
      "of the sweep, its last letters, or last; without: all (status), the newest (others)");
  declare_place(declared, asked_.place);
  declared.option("--threads", asked_.threads, "work: CPU threads of the run").hidden();
  declared.flag("--shared", asked_.share.shared, "work: the stages that trials share, nothing else")
      .hidden();
  declared.option("--trial", asked_.share.trial, "work: this trial, nothing else").hidden();
  declared.option("--job", asked_.share.job, "work: the job of a cluster that does it").hidden();
  declared.footer(
      "status shows a sweep's trials, cancel ends it (what runs saves a checkpoint first), resume "
      "goes on with what is\n"
      "left, from any terminal or machine that sees the workspace; --retry failed tries failed "
      "trials again.\n\n"
      "Examples:\n"
      "  exp sweeps\n"
      "  exp sweeps status 3F9KQ2ZT\n"
      "  exp sweeps cancel last\n"
      "  exp sweeps resume 3F9KQ2ZT --jobs 2 --retry failed\n");
}

int Sweeps::run(Session& session) {
  const bool known =
      std::find(std::begin(kActions), std::end(kActions), asked_.action) != std::end(kActions);
  if (!known && !asked_.action.empty()) {
    if (!asked_.share.id.empty())
      throw Error(fmt::format("exp sweeps {}: expected status, cancel or resume", asked_.action));
    asked_.share.id = asked_.action;  // exp sweeps 3F9KQ2ZT
    asked_.action = "status";
  }
  if (asked_.action == "work") return kContinue;
  const run::Workspace workspace = asked_.workspace(session);
  if (asked_.action == "cancel") return cancel(workspace);
  if (asked_.action == "resume") {
    const fs::path folder = sweeps::find_sweep(workspace.exp_folder(), asked_.share.id);
    if (!asked_.place.print) return drive_sweep(folder, asked_.place, workspace, session);
    const sweeps::SweepSketch sketch;
    return drive_sweep(sketch.copy_of(folder), asked_.place, workspace, session);
  }
  return asked_.share.id.empty() ? list(session, workspace) : status(session, workspace);
}

int Sweeps::list(const Session& session, const run::Workspace& workspace) const {
  TextTable table;
  table.columns = {"sweep", "name", "age", "strategy", "swept", "trials"};
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const fs::path& folder : sweeps::sweep_folders(workspace.exp_folder())) {
    try {
      Listed one = listed(folder);
      table.rows.push_back(std::move(one.row));
      all.push_back(std::move(one.json));
    } catch (const Error& error) {  // the others can be read
      const std::string id = folder.filename().string();
      table.rows.push_back({short_uid(id), "", "", "", "", "cannot be read"});
      all.push_back({{"id", id}, {"error", error.message()}});
      log::warn("sweep {} cannot be read: {}", short_uid(id), error.message());
    }
  }
  if (session.json) {
    fmt::print("{}\n", dump(all));
  } else if (table.rows.empty()) {
    fmt::print("there is no sweep here; `exp sweep --param KEY=SPEC` makes one\n");
  } else {
    fmt::print("{}", table.text(100));
  }
  return 0;
}

int Sweeps::status(const Session& session, const run::Workspace& workspace) const {
  const sweeps::SweepDb db = look_at(sweeps::find_sweep(workspace.exp_folder(), asked_.share.id));
  const sweeps::SweepSpec spec = db.spec();
  const std::vector<sweeps::Trial> trials = db.trials(true);
  const bool test = on_test(spec, workspace);
  if (session.json) {
    fmt::print("{}", sweep_json(spec, trials, db.halted(), test));
    return 0;
  }
  std::vector<std::string> states;
  for (const sweeps::Trial& trial : trials) {
    std::string state(sweeps::text(trial.state));
    if (trial.state == sweeps::TrialState::kRunning)
      state += fmt::format(" on {}{}", trial.process.host,
                           trial.doing.empty() ? "" : ": " + trial.doing);
    states.push_back(std::move(state));
  }
  fmt::print("sweep {} ({}), {}: {}\n", spec.id, spec.name, spec.strategy,
             counts_text(db.counts()));
  if (!db.halted().empty()) fmt::print("halted: {}\n", db.halted());
  fmt::print("{}{}", trials_table(spec, trials, states), sweep_summary(spec, trials, test));
  return 0;
}

int Sweeps::cancel(const run::Workspace& workspace) const {
  sweeps::SweepDb db =
      sweeps::SweepDb::open(sweeps::find_sweep(workspace.exp_folder(), asked_.share.id));
  const sweeps::Counts counts = db.counts();
  db.halt("cancelled", true);
  sweeps::SlurmExecutor::cancel(db.folder());
  const std::string id = short_uid(db.spec().id);
  fmt::print("sweep {} is cancelled{}; `exp sweeps resume {}` goes on with it\n", id,
             counts.running > 0
                 ? fmt::format(": {} running trial{} a checkpoint and ends", counts.running,
                               counts.running == 1 ? " saves" : "s save")
                 : "",
             id);
  return 0;
}

}  // namespace

run::Workspace SweepsArguments::workspace(const Session& session) const {
  run::RunArguments arguments;
  arguments.devices = place.devices;
  arguments.threads = threads;
  return run::run_workspace(arguments, session.workspace());
}

std::unique_ptr<Command> make_sweeps() { return std::make_unique<Sweeps>(); }

}  // namespace xp::cli
