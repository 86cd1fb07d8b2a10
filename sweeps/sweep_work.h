#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/graph/execute.h"
#include "sweeps/sweep_recipes.h"
#include "sweeps/work.h"
#include "tracker/store.h"

namespace xp::sweeps {

/// Trials as runs of the tracker: the stages of a bundle are made in one execution, what several
/// trials need once, evaluations over one checkpoint together.
class StageTrials final : public TrialRunner {
 public:
  /// References outlive this. `argv`: the command line that runs keep which are no trial's.
  StageTrials(const SweepSpec& spec, SweepRecipes& recipes, std::vector<std::string> argv,
              graph::Runner& runner, std::vector<std::string> versions);

  std::map<int64_t, Ending> run(const std::vector<Trial>& trials, TrialControl& control) override;

  /// Makes what two bundles or more of these trials need and nobody has made, as a run of its own.
  /// Returns the exit code.
  int make_shared(const std::vector<Trial>& trials);

 private:
  const SweepSpec& spec_;
  SweepRecipes& recipes_;
  std::vector<std::string> argv_;
  graph::Runner& runner_;
  std::vector<std::string> versions_;
};

/// What of a sweep a worker is to do.
struct SweepShare {
  std::string id;       ///< of the sweep
  bool shared = false;  ///< the stages that trials share, nothing else
  int64_t trial = 0;    ///< this trial, nothing else; 0 = whatever is next
  std::string job;      ///< the job of a cluster that does it, "" on this machine
};

/// A worker: carries trials out until none is left or it is stopped, with `runner` for the stages.
/// Returns the exit code.
int work_on_sweep(const SweepShare& share, const run::Workspace& workspace,
                  const std::vector<std::string>& argv, graph::Runner& runner,
                  const std::vector<std::string>& versions);

/// Keys of stages that two bundles or more have to make.
std::vector<std::string> shared_pending(const std::vector<run::PlannedRun>& plans);

}  // namespace xp::sweeps
