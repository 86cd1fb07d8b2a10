#include "core/run/run_execute.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "core/base/files.h"
#include "core/base/log.h"
#include "core/graph/first_reading.h"
#include "core/run/run_goes_on.h"
#include "core/run/run_record.h"
#include "tracker/query.h"

namespace xp::run {
namespace {

// The run that this command goes on with: the one asked for, or the newest of the same recipe and
// the same inputs that has not ended well. "" for none, which is said where there is one of other
// inputs.
std::string run_to_go_on_with(const RunArguments& arguments, const PlannedRun& planned,
                              const tracker::NewRun& fresh, const tracker::Store& store) {
  const graph::Graph& graph = planned.plan.graph;
  if (!arguments.run.empty()) {
    tracker::Query query(store.folder());
    const std::string why = why_another(query, arguments.run, graph, fresh.params);
    if (why.empty()) return arguments.run;
    throw Error(fmt::format("run {} cannot be gone on with: {}; without --run another one starts",
                            arguments.run, why));
  }
  if (arguments.fresh) return "";
  const std::vector<tracker::Store::Earlier> all = store.earlier(fresh.recipe_hash);
  if (all.empty()) return "";
  std::string said;
  tracker::Query query(store.folder());
  for (const tracker::Store::Earlier& earlier : all) {
    const std::string why = why_another(query, earlier.uid, graph, fresh.params);
    if (why.empty()) return earlier.done ? "" : earlier.uid;
    if (said.empty() && !earlier.done)
      said = fmt::format("run {} of this recipe is not gone on with: {}", earlier.uid, why);
  }
  if (!said.empty()) log::info("{}", said);
  return "";
}

std::unique_ptr<tracker::Run> open_run(const RunArguments& arguments, const PlannedRun& planned,
                                       const std::vector<std::string>& argv, tracker::Store& store,
                                       const std::vector<std::string>& versions) {
  tracker::NewRun fresh = new_run(planned, argv);
  if (!arguments.parent.empty())
    fresh.parent = tracker::Query(store.folder()).find(arguments.parent);
  tracker::RunOptions options;
  options.versions = versions;
  options.capture = true;
  const std::string uid = run_to_go_on_with(arguments, planned, fresh, store);
  if (!uid.empty()) {
    try {
      auto run = store.resume(uid, fresh, options);
      log::info("goes on with run {} (attempt {}); --new starts another", run->uid(),
                run->attempt());
      return run;
    } catch (const Error& error) {
      // Somebody took it up in between: two runs of one recipe share their stages anyway.
      if (!arguments.run.empty()) throw;
      log::debug("{}", error.what());
    }
  }
  auto run = store.create(fresh, options);
  log::info("run {}", run->uid());
  return run;
}

graph::ExecuteOptions execute_options(const RunArguments& arguments, const PlannedRun& planned,
                                      const tracker::Run* run) {
  graph::ExecuteOptions out;
  out.resources = planned.workspace.resources;
  out.at_once = planned.workspace.stages_at_once;
  if (arguments.check) out.depth = graph::Depth::kCheck;
  if (arguments.overfit > 0) {
    out.depth = graph::Depth::kOverfit;
    out.overfit_clips = arguments.overfit;
  }
  if (run != nullptr) out.run = run->uid();
  out.stop_requested = [run] {
    const StopReason reason = stop_requested();
    if (reason == StopReason::kNone && run != nullptr && run->stop_requested())
      return StopReason::kRequested;
    return reason;
  };
  return out;
}

tracker::Outcome outcome_of(const graph::Execution& done) {
  if (done.code() == Exit::kOk) return tracker::Outcome::kDone;
  if (done.code() == Exit::kPreempted) return tracker::Outcome::kPreempted;
  if (done.code() == Exit::kInterrupted) return tracker::Outcome::kInterrupted;
  return tracker::Outcome::kFailed;
}

// Makes the keys of the plan known, where data sets have to be read for them: while they are
// prepared. A check works on a few clips and keeps nothing: it needs no keys.
graph::Learned learn(const RunArguments& arguments, PlannedRun& planned, tracker::Run* run,
                     graph::Runner& runner, graph::Recorder& recorder,
                     const graph::ExecuteOptions& options) {
  const auto& nodes = planned.plan.graph.nodes;
  const bool known = std::none_of(nodes.begin(), nodes.end(),
                                  [](const graph::Node& node) { return node.provisional; });
  if (known || arguments.check) return {std::move(planned.plan), {}, std::nullopt};
  graph::InputDigests inputs(planned.workspace.cache / "inputs");
  std::vector<std::string> told;  // by the plan
  graph::Learning learning{
      [&] { return graph_of(arguments, planned.workspace, planned.recipe, told, inputs); }, inputs,
      arguments.request,
      [&](const graph::Graph& graph) {
        if (run != nullptr) note_uses(graph, *run, planned.cache);
      }};
  return graph::learn_keys(std::move(planned.plan), learning, planned.cache, runner, recorder,
                           options);
}

void finish(tracker::Run& run, const graph::Execution& done) {
  std::string message, where;
  for (const graph::NodeResult& node : done.nodes) {
    if (!node.error.empty() && message.empty()) {
      message = node.error;
      where = node.where;
    }
  }
  run.finish(outcome_of(done), message, where, static_cast<int>(done.code()));
}

}  // namespace

int execute_run(const RunArguments& arguments, PlannedRun planned,
                const std::vector<std::string>& argv, graph::Runner& runner,
                const std::vector<std::string>& versions, const RunEnded& ended) {
  const bool rehearsal = arguments.check || arguments.overfit > 0;
  // The tracker works on where it cannot write; stages cannot, so that this is said once, here.
  make_folders(planned.cache.root());
  tracker::Store store(planned.workspace.exp_folder());
  std::unique_ptr<tracker::Run> run;
  if (rehearsal) {
    mark_cache(planned);
  } else {
    run = open_run(arguments, planned, argv, store, versions);
    note_threads(*run, planned.workspace);
    note_uses(planned.plan.graph, *run, planned.cache);
    for (const std::string& note : planned.notes) run->event(tracker::Level::kWarning, note);
  }
  RunRecorder recorder(run.get());
  graph::Execution done;
  try {
    const graph::ExecuteOptions options = execute_options(arguments, planned, run.get());
    graph::Learned learned = learn(arguments, planned, run.get(), runner, recorder, options);
    planned.plan = std::move(learned.plan);
    if (learned.ended) {
      done = std::move(*learned.ended);
    } else {
      done = graph::execute(planned.plan, planned.cache, runner, recorder, options);
      for (size_t i = 0; i < done.nodes.size(); ++i)
        done.nodes[i].seconds += learned.seconds[planned.plan.graph.nodes[i].name];
    }
  } catch (const std::exception& error) {
    if (run)
      run->finish(tracker::Outcome::kFailed, error.what(), "exp run",
                  static_cast<int>(Exit::kInternal));
    throw;
  }
  if (run) finish(*run, done);
  ended(planned.plan, done, run ? run->uid() : "");
  // The work is done and in the cache, but nobody will find the run.
  if (run && run->losses().removed && done.code() == Exit::kOk)
    return static_cast<int>(Exit::kFailed);
  return static_cast<int>(done.code());
}

}  // namespace xp::run
