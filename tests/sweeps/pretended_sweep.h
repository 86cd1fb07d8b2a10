#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/graph/build.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "sweeps/propose.h"
#include "sweeps/sweep_describe.h"
#include "sweeps/sweep_store.h"
#include "sweeps/sweep_work.h"
#include "sweeps/work.h"
#include "tests/run/pretend.h"

namespace xp::testing {

inline constexpr const char* kSweptRecipe = R"(
experiment = { name = "pretend", seed = 3 }
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 9, batch_size = 8 }
optimiser.lr = 1e-3
tome.r = 2
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
[sweep]
params = { "tome.r" = "0:16:8" }
metric = "max:eval.mAP"
)";

/// A sweep of `kSweptRecipe` and one worker of it.
class PretendedSweep : public PretendedWorkspace {
 protected:
  PretendedSweep() : PretendedWorkspace(kSweptRecipe) {
    runner_.together = true;
    runner_.report = [this](const auto& node, auto& context) { report(node, context); };
  }

  void report(const graph::Node& node, graph::StageContext& context) {
    if (node.kind == "train") {
      const auto metric =
          context.sink->metric("val.mAP", tracker::Unit::kFraction, tracker::Grain::kEpoch);
      const double lr = graph::options_of<schema::TrainStageOptions>(node).optimiser.lr;
      for (int epoch = 1; epoch <= 9; ++epoch) {
        context.sink->log(metric, epoch, lr * epoch);
        if (context.stop_requested() != StopReason::kNone) throw Stopped(context.stop_requested());
      }
    }
    if (node.kind == "evaluate") {
      const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
      context.sink->summary(
          "mAP", 0.5 - 0.01 * static_cast<double>(options.tome ? options.tome->r.value : 0),
          tracker::Unit::kFraction);
    }
  }

  // What `exp sweep` does before anything runs.
  sweeps::SweepDb store() {
    const run::Workspace workspace = run::run_workspace(arguments_.run, run::find_workspace());
    sweeps::DescribedSweep described =
        sweeps::describe_sweep(arguments_, workspace, {"exp", "sweep"});
    sweeps::SweepRecipes recipes(described.spec, workspace);
    notes_.clear();
    std::vector<sweeps::Trial> trials;
    if (described.spec.strategy == "grid")
      trials = sweeps::grid_trials(described.spec, recipes, notes_);
    const auto earlier = sweeps::earlier_sweep(workspace, described.spec.family);
    return sweeps::SweepDb::open(
        sweeps::store_sweep(earlier, described.spec, trials, workspace.exp_folder() / "sweeps", 1));
  }
  // A worker in this process.
  size_t work(sweeps::SweepDb& db) {
    const sweeps::SweepSpec spec = db.spec();
    sweeps::SweepRecipes recipes(spec, run::run_workspace(arguments_.run, run::find_workspace()));
    sweeps::StageTrials trials(spec, recipes, {"exp", "sweep"}, runner_, {"libtorch=2.11.0"});
    const sweeps::Space space = sweeps::make_space(schema::language(), spec.params, spec.zip);
    sweeps::WorkOptions options;
    options.idle = [&] {
      if (!sweeps::proposes_more(db, spec)) return false;
      sweeps::propose(db, spec, space,
                      [&](const auto& v, uint64_t seed) { return recipes.make(v, seed); });
      return true;
    };
    return sweeps::work(db, trials, options);
  }
  size_t ran(const std::string& name) const {
    return static_cast<size_t>(std::count(runner_.ran.begin(), runner_.ran.end(), name));
  }
  std::string message() {
    try {
      store();
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }

  sweeps::SweepArguments arguments_;
  Names notes_;
};

}  // namespace xp::testing
