#include "core/cli/evaluate.h"

#include <CLI/CLI.hpp>

#include "core/base/error.h"

namespace xp::cli {

void EvaluateCommand::declare(CLI::App& app) {
  EvaluateArguments& a = arguments_;
  app.footer(
      "Examples:\n"
      "  exp evaluate best.safetensors recipes/esc50/quickstart.toml --tome 0,8,16\n"
      "  exp evaluate --replay broken-step-000001200.safetensors\n");
  app.add_option("checkpoint", a.checkpoint, "weights, or the folder of a train stage");
  app.add_option("recipe", a.data.recipe.recipe, "whose prepared data and front end are used");
  app.add_option("--set", a.data.recipe.set, "KEY=VALUE on top of the recipe")->take_all();
  app.add_option("--variant", a.data.recipe.variants, "a [variants.NAME] of the recipe")
      ->take_all();
  app.add_option("--stage", a.data.stage, "whose data are meant (default: the first that trains)");
  app.add_option("--split", a.split, "train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  app.add_option("--tome", a.tome, "tokens merged in each block; several: 0,8,16")->delimiter(',');
  app.add_option("--out", a.out, "folder for metrics.json, per_class.csv, predictions.h5");
  app.add_option("--device", a.device, "cpu or gpu:0 (default: the best there is)");
  app.add_option("--batch", a.batch, "clips in a forward pass");
  app.add_option("--threads", a.threads, "CPU threads (default: all that this process may use)");
  app.add_option("--replay", a.replay, "compute a kept broken step of a training again");
}

int EvaluateCommand::run(Session&) {
  const EvaluateArguments& a = arguments_;
  if (a.replay.empty() && (a.checkpoint.empty() || a.data.recipe.recipe.empty()))
    throw Error("exp evaluate: give CHECKPOINT and RECIPE, or --replay FILE");
  if (!a.replay.empty() && !a.checkpoint.empty())
    throw Error("exp evaluate: --replay goes without a checkpoint; the weights are in its file");
  return kContinue;
}

std::unique_ptr<Command> make_evaluate() { return std::make_unique<EvaluateCommand>(); }

}  // namespace xp::cli
