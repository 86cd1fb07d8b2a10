#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/cli/sweep_recipes.h"
#include "core/graph/execute.h"
#include "sweeps/work.h"
#include "tracker/store.h"

namespace xp::cli {

struct Session;

/// Trials as runs of the tracker: the stages of a bundle are made in one execution, what several
/// trials need once, evaluations over one checkpoint together.
class StageTrials final : public sweeps::TrialRunner {
 public:
  /// References outlive this.
  StageTrials(const sweeps::SweepSpec& spec, SweepRecipes& recipes, const Session& session,
              graph::Runner& runner, std::vector<std::string> versions);

  std::map<int64_t, sweeps::Ending> run(const std::vector<sweeps::Trial>& trials,
                                        sweeps::TrialControl& control) override;

  /// Makes what two bundles or more of these trials need and nobody has made, as a run of its own.
  /// Returns the exit code.
  int make_shared(const std::vector<sweeps::Trial>& trials);

 private:
  const sweeps::SweepSpec& spec_;
  SweepRecipes& recipes_;
  const Session& session_;
  graph::Runner& runner_;
  std::vector<std::string> versions_;
};

/// Keys of stages that two bundles or more have to make.
std::vector<std::string> shared_pending(const std::vector<run::PlannedRun>& plans);

}  // namespace xp::cli
