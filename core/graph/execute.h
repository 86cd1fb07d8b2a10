#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/graph/cache.h"
#include "core/graph/plan.h"
#include "core/graph/stage.h"
#include "tracker/run_sink.h"

namespace xp::graph {

/// Does the work of stages: in exp-compute the run halves, in tests fakes.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void run(const Node& node, StageContext& context) = 0;
  /// True when `run_many` takes several pending nodes of this kind with equal inputs at once.
  virtual bool runs_many(std::string_view kind) const;
  virtual void run_many(std::span<const Node* const> nodes,
                        std::span<StageContext* const> contexts);
};

/// Where an execution tells what happens. Called from several threads; one call at a time, except
/// `progress`, which a stage may call while others are told.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// The sink of a stage whose work begins in `folder`. Never null.
  virtual std::unique_ptr<tracker::RunSink> begin(const Node& node,
                                                  const std::filesystem::path& folder) = 0;
  /// The work is done, `folder` is published next: the last chance to write into it.
  virtual void publish(const Node& node, const std::filesystem::path& folder) = 0;
  /// The finished output that this run uses, made by it or not.
  virtual void attach(const Node& node, const std::filesystem::path& folder, bool made_now) = 0;
  /// A line for people: what waits, what was damaged.
  virtual void say(const Node& node, std::string_view line) = 0;
  virtual void progress(const Node& node, std::string_view what, double done, double total) = 0;
};

struct ExecuteOptions {
  Resources resources;  ///< of the whole run; shared by stages that run at once
  int at_once = 1;      ///< independent stages that may run at the same time
  Depth depth = Depth::kFull;
  int64_t overfit_clips = 0;
  /// After a failure, what does not need the failed stage goes on: stages of several trials.
  bool keep_going = false;
  std::string run;  ///< ULID, for manifests and for those who wait; "" without a run
  /// Why to stop; asked all the time.
  std::function<StopReason()> stop_requested = [] { return StopReason::kNone; };
};

enum class Result { kNotNeeded, kCached, kMade, kFailed, kStopped, kNotStarted };

struct NodeResult {
  Result result = Result::kNotStarted;
  std::optional<Manifest> manifest;  ///< of kCached and kMade
  double seconds = 0;                ///< of this run's work
  std::string error;                 ///< of kFailed: whole message
  std::string where;                 ///< of kFailed: "stage student"
  Exit code = Exit::kOk;
};

struct Execution {
  std::vector<NodeResult> nodes;  ///< one a node of the plan
  StopReason stopped = StopReason::kNone;
  /// Exit code of the whole: of the first failure, else of the stop, else kOk.
  Exit code() const;
};

/// What identifies the output of a node, for a claim by `run` (ULID, or "").
Wanted wanted_output(const Graph& graph, const Node& node, const std::string& run);
/// What is said of a cached output that turned out damaged.
std::string damaged_text(const Cache& cache, const Node& node, std::string_view what);
/// Notes that the stage of `node` ended with `error`: text, place and exit code.
void set_failed(NodeResult& result, const Node& node, const std::exception& error);
/// How a stage that was stopped is tracked.
tracker::Outcome outcome_of(StopReason reason);

/// Makes what the plan wants, inputs first. What is finished stays in the cache whatever happens
/// after. After a failure (but see keep_going) or a stop nothing new begins; what runs at the same
/// time is let finish (failure) or asked to stop. Inputs are read through before use: a damaged one
/// is named, set aside and made again. With a depth other than kFull, stages are made in a scratch
/// cache that is removed at the end. Throws only for faults of ours.
Execution execute(const Plan& plan, const Cache& cache, Runner& runner, Recorder& recorder,
                  const ExecuteOptions& options);

}  // namespace xp::graph
