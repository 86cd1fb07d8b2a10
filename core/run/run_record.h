#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/execute.h"
#include "core/run/plan_run.h"
#include "tracker/store.h"

namespace xp {
class Progress;
}

namespace xp::run {

/// Throws Error (kUsage) where experiment.require_clean is set and the working tree of the current
/// folder is not under git or has uncommitted changes.
void check_source_is_clean(const recipe::Recipe& recipe);

/// What the tracker keeps of a planned run: every resolved key with the place that set it, the
/// recipe that reproduces it by itself, the command line `argv`. Throws as `check_source_is_clean`.
tracker::NewRun new_run(const PlannedRun& planned, std::vector<std::string> argv);

/// Notes the fact run.threads: the CPU threads of a stage, which decide how its sums are rounded.
void note_threads(tracker::Run& run, const Workspace& workspace);

/// graph::record_uses for a run: where that cannot be written it is said, and the run goes on, as
/// with everything that the tracker keeps.
void note_uses(const graph::Graph& graph, const tracker::Run& run, const graph::Cache& cache);

/// Notes that `run` uses the output `folder` of `node`, which the run calls `name`.
void attach_output(tracker::Run& run, const std::string& name, const graph::Node& node,
                   const std::filesystem::path& folder);

/// graph::mark_cache for work without a run (--check, --overfit); where it cannot be marked, `exp
/// gc` says so later.
void mark_cache(const PlannedRun& planned);

/// Hands an execution to the tracker and to the terminal. Without a run (--check, --overfit) to the
/// terminal alone.
class RunRecorder final : public graph::Recorder {
 public:
  explicit RunRecorder(tracker::Run* run);
  ~RunRecorder() override;

  std::unique_ptr<tracker::RunSink> begin(const graph::Node& node,
                                          const std::filesystem::path& folder) override;
  void publish(const graph::Node& node, const std::filesystem::path& folder) override;
  void attach(const graph::Node& node, const std::filesystem::path& folder, bool made_now) override;
  void say(const graph::Node& node, std::string_view line) override;
  void progress(const graph::Node& node, std::string_view what, double done, double total) override;

 private:
  struct Bar;
  void end_bar(const graph::Node& node);

  tracker::Run* run_;
  std::mutex mutex_;  // of the bars: stages tell their progress from threads of their own
  std::map<std::string, std::unique_ptr<Bar>> bars_;
};

}  // namespace xp::run
