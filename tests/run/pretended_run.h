#pragma once

#include <string>
#include <vector>

#include "core/run/run_execute.h"
#include "core/run/run_summary.h"
#include "tests/run/pretend.h"
#include "tracker/run_sink.h"

namespace xp::testing {

inline constexpr const char* kPretendedRecipe = R"(
experiment = { name = "pretend", tags = ["small"], seed = 3 }
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 1, batch_size = 8 }
optimiser.lr = 1e-3
tome.r = 2
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
)";

/// What a training and an evaluation tell.
inline void pretended_report(const graph::Node& node, graph::StageContext& context) {
  if (node.kind == "train") {
    const auto loss = context.sink->metric("train.loss", tracker::Unit::kNone);
    for (int step = 1; step <= 3; ++step) context.sink->log(loss, step, 1.0 / step);
  }
  if (node.kind == "evaluate") {
    context.sink->summary("mAP", 0.5, tracker::Unit::kFraction);
    context.sink->summary("mAP_lo", 0.4512, tracker::Unit::kFraction);
    context.sink->summary("mAP_hi", 0.5544, tracker::Unit::kFraction);
  }
}

/// A run of `kPretendedRecipe`.
class PretendedRun : public PretendedWorkspace {
 protected:
  PretendedRun() : PretendedWorkspace(kPretendedRecipe) { runner_.report = pretended_report; }

  int run() {
    return run::execute_run(arguments_, run::plan_run(arguments_, run::find_workspace()),
                            {"exp", "run", "recipe.toml"}, runner_, {"libtorch=2.11.0"},
                            [this](const auto& plan, const auto& done, const std::string& uid) {
                              ended_.push_back(uid);
                              summary_ = run::summary_text(plan, done, uid);
                              json_ = run::summary_json(plan, done, uid);
                            });
  }

  run::RunArguments arguments_;
  Names ended_;  ///< ULIDs of what has ended, "" for a rehearsal
  std::string summary_, json_;
};

}  // namespace xp::testing
