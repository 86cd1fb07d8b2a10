#include "core/cli/run.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/launch.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/plan_options.h"
#include "core/graph/build.h"
#include "core/graph/uses.h"
#include "core/run/plan_memory.h"
#include "core/run/run_record.h"
#include "core/run/run_srun.h"
#include "core/run/run_summary.h"
#include "tracker/store.h"

namespace xp::cli {
namespace {

// The flags that are not in the recipe: `exp queue` gives them again.
nlohmann::json kept_flags(const run::RunArguments& arguments) {
  nlohmann::json out = nlohmann::json::array();
  const auto add = [&out](const char* flag, const std::string& value) {
    if (value.empty()) return;
    out.push_back(flag);
    out.push_back(value);
  };
  add("--from", arguments.request.from);
  add("--until", arguments.request.until);
  for (const std::string& stage : arguments.request.force) add("--force", stage);
  add("--devices", arguments.devices);
  if (arguments.any_memory) out.push_back("--any-memory");
  return out;
}

// The recipe is kept as it is now: what is queued does not change when its file does.
int queue_run(const run::RunArguments& arguments, const run::PlannedRun& planned,
              const Session& session) {
  tracker::Store store(planned.workspace.exp_folder());
  const std::string uid = store.queue(run::new_run(planned, session.argv()));
  const std::filesystem::path folder = store.run_folder(uid);
  graph::record_uses(planned.plan.graph, folder, planned.cache);
  write_file_atomic(folder / "queued.toml", planned.recipe.show());
  write_file_atomic(folder / "queue.json",
                    nlohmann::json({{"flags", kept_flags(arguments)}}).dump() + "\n");
  if (session.json) {
    fmt::print("{}\n", nlohmann::json({{"queued", uid}}).dump());
  } else {
    fmt::print("queued as {}; `exp queue` works it off\n", uid);
  }
  return 0;
}

class Run final : public CommandOf<RunOptions> {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

void Run::declare(Arguments& declared) {
  asked_.run.put_off = true;
  declare_plan_options(declared, asked_.run);
  declared.flag("--new", asked_.run.fresh,
                "a run of its own, also where an unfinished one could go on");
  const Option check = declared.flag("--check", asked_.run.check,
                                     "one step of each stage that is not cached: shapes, "
                                     "tokens per layer");
  declared
      .option("--overfit", asked_.run.overfit,
              "train on this many clips only, to see that it can learn them")
      .positive()
      .excludes(check);
  declared.flag("--any-memory", asked_.run.any_memory,
                "also a training that needs more memory than this machine has");
  declared.flag("--queue", asked_.queue, "store it for `exp queue`");
  declared.flag("--dry-run", asked_.dry_run, "print what would run, and why");
  declared
      .option("--threads", asked_.run.threads,
              "CPU threads of the run (default: all that it may use)")
      .positive();
  declared.option("--profile", asked_.profile,
                  "folder for a Chrome trace of a few steps of each training, STAGE.json");
  declared.option("--run", asked_.run.run, "go on with this run").hidden();
  declared.option(
      "--parent", asked_.run.parent,
      "a run that this one comes from: `exp show` names it, `exp runs parent=UID` finds "
      "what came of it");
  declared
      .option("--nodes", asked_.run.nodes,
              "run as one Slurm job (srun) on so many nodes, a rank for each of the --devices of "
              "a node; srun takes its own options from SLURM_PARTITION, SLURM_TIMELIMIT, ..")
      .positive()
      .excludes(check);
  declared.footer(
      "Examples:\n"
      "  exp run recipes/esc50/quickstart.toml\n"
      "  exp run recipes/audioset/kd.toml --variant tiny --set kd.lambda=0.25\n"
      "  exp run recipes/audioset/kd.toml --dry-run\n"
      "  exp run recipes/esc50/quickstart.toml --profile traces --force train\n"
      "  exp run recipes/audioset/ast_full.toml --nodes 2 --devices 8\n");
}

int Run::run(Session& session) {
  const LaunchedRank launched = launched_rank();
  // Rank 0 plans; the others hear from it what to do.
  if (launched.rank > 0) return kContinue;
  if (asked_.run.nodes > 0 && launched.world == 1 && !asked_.queue && !asked_.dry_run)
    run::become_srun(asked_.run, session, session.workspace());
  try {
    const run::PlannedRun planned = run::plan_run(asked_.run, session.workspace());
    run::check_micro_batch(planned);
    if (!asked_.dry_run) run::check_memory(planned);
    if (asked_.queue) return queue_run(asked_.run, planned, session);
    if (asked_.dry_run) {
      print_plan(planned, session);
      if (!session.json) fmt::print("{}", run::memory_text(planned));
      return 0;
    }
    if (!session.json) print_plan(planned, session);
  } catch (const graph::MissingInput& missing) {
    // The compute half knows what the folder of a data set looks like, and says so.
    if (missing.dataset().empty()) throw;
  }
  return kContinue;
}

}  // namespace

run::RunEnded tell_outcome(const Session& session) {
  return [&session](const graph::Plan& plan, const graph::Execution& done, const std::string& uid) {
    fmt::print("{}", session.json ? run::summary_json(plan, done, uid)
                                  : run::summary_text(plan, done, uid));
    std::fflush(stdout);
    for (size_t i = 0; i < done.nodes.size(); ++i) {
      if (done.nodes[i].result != graph::Result::kFailed) continue;
      tell_failure(session.json, Error(fmt::format("stage {} failed: {}", plan.graph.nodes[i].name,
                                                   done.nodes[i].error),
                                       done.code()));
    }
  };
}

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace xp::cli
