#include "sweeps/sweep_work.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/graph/merged.h"
#include "core/run/plan_memory.h"
#include "core/run/run_goes_on.h"
#include "core/run/run_record.h"
#include "core/schema/load.h"
#include "sweeps/propose.h"
#include "sweeps/sweep_record.h"
#include "tracker/query.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

// One trial while it is carried out.
struct Member {
  explicit Member(const Trial& its_trial) : trial(its_trial) {}
  const Trial& trial;
  std::optional<run::PlannedRun> planned;
  std::unique_ptr<tracker::Run> run;
  Ending ending;
  bool over = false;
  bool alone =
      false;  ///< a stage of its own failed while others ran with it: to be tried by itself
};

const graph::NodeResult* result_of(const graph::Plan& plan, const graph::Execution& done,
                                   const std::string& key) {
  for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    if (plan.graph.nodes[i].key == key) return &done.nodes[i];
  }
  return nullptr;
}

tracker::Outcome outcome_of(const Ending& ending, StopReason stopped) {
  if (ending.state == TrialState::kDone) return tracker::Outcome::kDone;
  if (ending.state == TrialState::kFailed) return tracker::Outcome::kFailed;
  return stopped == StopReason::kPreempted ? tracker::Outcome::kPreempted
                                           : tracker::Outcome::kInterrupted;
}

Exit code_of(tracker::Outcome outcome) {
  switch (outcome) {
    case tracker::Outcome::kDone:
      return Exit::kOk;
    case tracker::Outcome::kFailed:
      return Exit::kFailed;
    case tracker::Outcome::kPreempted:
      return Exit::kPreempted;
    default:
      return Exit::kInterrupted;
  }
}

class Bundle {
 public:
  Bundle(const SweepSpec& spec, SweepRecipes& recipes, graph::Runner& runner,
         const std::vector<std::string>& versions, TrialControl& control)
      : spec_(spec),
        recipes_(recipes),
        runner_(runner),
        versions_(versions),
        control_(control),
        store_(recipes.workspace().exp_folder()) {}

  std::map<int64_t, Ending> run(const std::vector<Trial>& trials) {
    const int64_t start = steady_ns();
    members_.reserve(trials.size());
    for (const Trial& trial : trials) members_.emplace_back(trial);
    for (Member& member : members_) begin(member);
    std::vector<Member*> open;
    for (Member& member : members_) {
      if (!member.over) open.push_back(&member);
    }
    if (!open.empty()) execute(open);
    for (Member* member : open) {
      if (!member->alone) continue;
      log::info("trial {} again by itself: {}", member->trial.number, member->ending.error);
      member->planned.emplace(recipes_.plan(member->trial.values, member->trial.seed, false));
      execute({member});
    }
    std::map<int64_t, Ending> out;
    const double seconds =
        static_cast<double>(steady_ns() - start) / 1e9 / static_cast<double>(trials.size());
    for (Member& member : members_) {
      member.ending.seconds = seconds;
      finish(member);
      out[member.trial.number] = std::move(member.ending);
    }
    return out;
  }

 private:
  // What the user's recipe or data do not allow fails this trial, not the others.
  void begin(Member& member) {
    try {
      member.planned.emplace(recipes_.plan(member.trial.values, member.trial.seed, false));
      const std::string hash = member.planned->recipe.hash();
      if (hash != member.trial.hash)
        throw Error(
            "the recipe resolves to something else than when the sweep was made: another version "
            "of exp?");
      run::check_micro_batch(*member.planned);
      run::check_memory(*member.planned);
      open_run(member);
    } catch (const std::exception& error) {
      member.over = true;
      member.ending.state = TrialState::kFailed;
      member.ending.error = error.what();
    }
  }

  void open_run(Member& member) {
    tracker::NewRun fresh = run::new_run(*member.planned, spec_.argv);
    fresh.sweep = spec_.id;
    fresh.recipe_path =
        fs::path(spec_.recipe).lexically_proximate(recipes_.workspace().root).string();
    tracker::RunOptions options;
    options.versions = versions_;
    options.capture = &member == &members_.front();  // one process has one output
    if (!options.capture) options.system = std::chrono::milliseconds(0);
    std::string known = member.trial.run;
    const bool there = !known.empty() && fs::exists(store_.run_folder(known) / "run.db");
    if (there) {
      tracker::Query query(store_.folder());
      const std::string why =
          run::why_another(query, known, member.planned->plan.graph, fresh.params);
      if (!why.empty()) {
        log::info("trial {} starts another run than {}: {}", member.trial.number, known, why);
        known.clear();
      }
    }
    if (there && !known.empty()) {
      member.run = store_.resume(known, fresh, options);
    } else {
      // Noted before it exists: a run that is killed while it begins is not left without its trial.
      fresh.uid = known.empty() ? store_.new_uid() : known;
      control_.began(member.trial.number, fresh.uid);
      member.run = store_.create(fresh, options);
    }
    run::note_threads(*member.run, recipes_.workspace());
    run::note_uses(member.planned->plan.graph, *member.run, member.planned->cache);
    for (const std::string& note : member.planned->notes)
      member.run->event(tracker::Level::kWarning, note);
  }

  // The stages of all these trials, each once.
  void execute(const std::vector<Member*>& open) {
    std::vector<const graph::Graph*> graphs;
    std::vector<BundleMember> recorded;
    for (const Member* member : open) {
      const graph::Graph& graph = member->planned->plan.graph;
      graphs.push_back(&graph);
      BundleMember known{member->trial.number, member->run.get(), {}};
      for (const graph::Node& node : graph.nodes) known.names.emplace(node.key, node.name);
      recorded.push_back(std::move(known));
    }
    const graph::Cache& cache = open.front()->planned->cache;
    graph::PlanRequest request;
    request.reasons = false;
    const graph::Plan plan = graph::make_plan(graph::merged(graphs), cache, nullptr, request);
    const std::string watched = spec_.strategy == "asha" && !spec_.objectives.empty()
                                    ? spec_.objectives.front().metric
                                    : "";
    BundleRecorder recorder(
        std::move(recorded), watched, [this](std::string_view what) { control_.doing(what); },
        [this](int64_t number, int64_t epoch, double value) {
          control_.epoch_value(number, epoch, value);
        });
    graph::ExecuteOptions options;
    options.resources = recipes_.workspace().resources;
    options.at_once = recipes_.workspace().stages_at_once;
    options.keep_going = open.size() > 1;
    options.run = open.front()->run->uid();
    options.stop_requested = [this, &open] {
      const StopReason reason = control_.stop();
      const bool asked = std::any_of(open.begin(), open.end(), [](const Member* member) {
        return member->run->stop_requested();
      });
      return reason == StopReason::kNone && asked ? StopReason::kRequested : reason;
    };
    try {
      const graph::Execution done = graph::execute(plan, cache, runner_, recorder, options);
      stopped_ = done.stopped;
      for (Member* member : open) judge(*member, plan, done, open);
    } catch (const std::exception&
                 error) {  // a fault of ours: it is told as a failure, not hidden by a retry
      for (Member* member : open) {
        member->alone = false;
        member->ending.state = TrialState::kFailed;
        member->ending.error = error.what();
      }
    }
  }

  void judge(Member& member, const graph::Plan& plan, const graph::Execution& done,
             const std::vector<Member*>& open) {
    const graph::Graph& graph = member.planned->plan.graph;
    Ending& ending = member.ending;
    ending = Ending{};
    bool whole = true;
    for (const graph::Node& node : graph.nodes) {
      const graph::NodeResult* result = result_of(plan, done, node.key);
      XP_CHECK(result != nullptr, "a stage of a trial that is not in its bundle's plan");
      if (result->manifest) {
        for (const auto& [name, value] : result->manifest->metrics)
          ending.metrics[node.name + "." + name] = value;
      }
      if (result->result == graph::Result::kFailed) {
        ending.state = TrialState::kFailed;
        ending.error = result->error;
        member.alone = open.size() > 1 && needed_by(node.key, open) == 1;
        return;
      }
      whole = whole && result->result != graph::Result::kStopped &&
              result->result != graph::Result::kNotStarted;
    }
    ending.state = whole ? TrialState::kDone : TrialState::kQueued;
    // Something else of the bundle failed and took this one along.
    member.alone = !whole && done.stopped == StopReason::kNone && open.size() > 1;
    if (!whole && !control_.stopped_early().empty()) {
      ending.state = TrialState::kStopped;
      ending.error = control_.stopped_early();
    } else if (!whole && member.run->stop_requested()) {
      ending.state = TrialState::kStopped;  // and not at once tried again
      ending.error = "stopped by `exp stop`; --retry stopped goes on with it";
    }
  }

  static size_t needed_by(const std::string& key, const std::vector<Member*>& open) {
    return static_cast<size_t>(
        std::count_if(open.begin(), open.end(), [&key](const Member* member) {
          const auto& nodes = member->planned->plan.graph.nodes;
          return std::any_of(nodes.begin(), nodes.end(),
                             [&key](const graph::Node& node) { return node.key == key; });
        }));
  }

  void finish(Member& member) {
    if (!member.run) return;
    const tracker::Outcome outcome = outcome_of(member.ending, stopped_);
    member.run->finish(outcome, member.ending.error, "", static_cast<int>(code_of(outcome)));
    const std::string uid = member.run->uid();
    member.run.reset();
    if (member.ending.state != TrialState::kQueued) add_epoch_objectives(uid, member.ending);
  }

  // An objective may be the newest value of an epoch's metric, which no manifest has.
  void add_epoch_objectives(const std::string& uid, Ending& ending) {
    for (const Objective& objective : spec_.objectives) {
      if (ending.metrics.count(objective.metric) != 0) continue;
      try {
        const tracker::RunInfo info = tracker::Query(store_.folder()).run(uid);
        const auto at = info.metrics.find(objective.metric);
        if (at != info.metrics.end()) ending.metrics[objective.metric] = at->second.last;
      } catch (const Error& error) {
        log::warn("{}", error.message());
      }
    }
  }

  const SweepSpec& spec_;
  SweepRecipes& recipes_;
  graph::Runner& runner_;
  const std::vector<std::string>& versions_;
  TrialControl& control_;
  tracker::Store store_;
  std::vector<Member> members_;
  StopReason stopped_ = StopReason::kNone;
};

}  // namespace

StageTrials::StageTrials(const SweepSpec& spec, SweepRecipes& recipes,
                         std::vector<std::string> argv, graph::Runner& runner,
                         std::vector<std::string> versions)
    : spec_(spec),
      recipes_(recipes),
      argv_(std::move(argv)),
      runner_(runner),
      versions_(std::move(versions)) {}

std::map<int64_t, Ending> StageTrials::run(const std::vector<Trial>& trials,
                                           TrialControl& control) {
  return Bundle(spec_, recipes_, runner_, versions_, control).run(trials);
}

std::vector<std::string> shared_pending(const std::vector<run::PlannedRun>& plans) {
  std::map<std::string, std::set<std::string>> bundles;  // key -> bundles that have to make it
  for (const run::PlannedRun& planned : plans) {
    const graph::Plan& plan = planned.plan;
    const std::string bundle = bundle_of(plan.graph);
    for (size_t i = 0; i < plan.graph.nodes.size(); ++i) {
      const graph::State state = plan.steps[i].state;
      if (state != graph::State::kCached && state != graph::State::kNotNeeded)
        bundles[plan.graph.nodes[i].key].insert(bundle);
    }
  }
  std::vector<std::string> out;
  for (const auto& [key, of_key] : bundles) {
    if (of_key.size() > 1) out.push_back(key);
  }
  return out;
}

int StageTrials::make_shared(const std::vector<Trial>& trials) {
  std::vector<run::PlannedRun> plans;
  for (const Trial& trial : trials) plans.push_back(recipes_.plan(trial.values, trial.seed, false));
  const std::vector<std::string> shared = shared_pending(plans);
  if (shared.empty()) return 0;
  std::vector<const graph::Graph*> graphs;
  for (const run::PlannedRun& planned : plans) graphs.push_back(&planned.plan.graph);
  graph::Graph graph = graph::merged(graphs);
  graph.goals.clear();
  std::string names;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!std::binary_search(shared.begin(), shared.end(), graph.nodes[i].key)) continue;
    graph.goals.push_back(i);
    names += (names.empty() ? "" : ", ") + graph.nodes[i].name;
  }
  graph::PlanRequest request;
  request.reasons = false;
  const graph::Cache cache = plans.front().cache;
  const graph::Plan plan = graph::make_plan(graph, cache, nullptr, request);
  tracker::NewRun fresh = run::new_run(plans.front(), argv_);
  fresh.name += "-shared";
  fresh.notes = fmt::format("stages that the trials of sweep {} share: {}", spec_.id, names);
  fresh.recipe_hash += "-shared";  // not a run of the recipe that `exp run` could go on with
  tracker::Store store(recipes_.workspace().exp_folder());
  tracker::RunOptions options;
  options.versions = versions_;
  options.capture = true;
  const auto run = store.create(fresh, options);
  run::note_threads(*run, recipes_.workspace());
  run::note_uses(plan.graph, *run, cache);
  BundleMember member{0, run.get(), {}};
  for (const graph::Node& node : plan.graph.nodes) member.names.emplace(node.key, node.name);
  BundleRecorder recorder(
      {member}, "", [](std::string_view) {}, [](int64_t, int64_t, double) {});
  graph::ExecuteOptions execution;
  execution.resources = recipes_.workspace().resources;
  execution.at_once = recipes_.workspace().stages_at_once;
  execution.run = run->uid();
  execution.stop_requested = [&run] {
    const StopReason reason = stop_requested();
    return reason == StopReason::kNone && run->stop_requested() ? StopReason::kRequested : reason;
  };
  const graph::Execution done = graph::execute(plan, cache, runner_, recorder, execution);
  std::string error;
  for (const graph::NodeResult& node : done.nodes) {
    if (error.empty()) error = node.error;
  }
  const Exit code = done.code();
  tracker::Outcome outcome = tracker::Outcome::kFailed;
  if (code == Exit::kOk) outcome = tracker::Outcome::kDone;
  if (code == Exit::kPreempted) outcome = tracker::Outcome::kPreempted;
  if (code == Exit::kInterrupted) outcome = tracker::Outcome::kInterrupted;
  run->finish(outcome, error, "", static_cast<int>(code));
  return static_cast<int>(code);
}

int work_on_sweep(const SweepShare& share, const run::Workspace& workspace,
                  const std::vector<std::string>& argv, graph::Runner& runner,
                  const std::vector<std::string>& versions) {
  SweepDb db = SweepDb::open(find_sweep(workspace.exp_folder(), share.id));
  const SweepSpec spec = db.spec();
  SweepRecipes recipes(spec, workspace);
  StageTrials trials(spec, recipes, argv, runner, versions);
  if (share.shared) {
    std::vector<Trial> queued;
    for (const Trial& trial : db.trials(true)) {
      if (trial.state == TrialState::kQueued) queued.push_back(trial);
    }
    return trials.make_shared(queued);
  }
  const Space space = make_space(schema::language(), spec.params, spec.zip);
  WorkOptions options;
  options.only = share.trial;
  options.job = share.job;
  options.idle = [&] {
    if (!db.halted().empty() || !proposes_more(db, spec)) return false;
    propose(db, spec, space,
            [&](const auto& values, uint64_t seed) { return recipes.make(values, seed); });
    return true;
  };
  work(db, trials, options);
  return static_cast<int>(exit_code(stop_requested()));
}

}  // namespace xp::sweeps
