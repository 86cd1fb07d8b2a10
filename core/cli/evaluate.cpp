#include "core/cli/evaluate.h"

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {
namespace {

class Evaluate final : public CommandOf<EvaluateArguments> {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

void Evaluate::declare(Arguments& declared) {
  EvaluateArguments& a = asked_;
  declared.footer(
      "Examples:\n"
      "  exp evaluate best.safetensors recipes/esc50/quickstart.toml --tome 0,8,16\n"
      "  exp evaluate --replay broken-step-000001200.safetensors\n");
  declared.option("checkpoint", a.checkpoint, "weights, or the folder of a train stage");
  declared.option("recipe", a.data.recipe.recipe, "whose prepared data and front end are used");
  declared.option("--set", a.data.recipe.set, "KEY=VALUE on top of the recipe").take_all();
  declared.option("--variant", a.data.recipe.variants, "a [variants.NAME] of the recipe")
      .take_all();
  declared.option("--stage", a.data.stage, "whose data are meant (default: the first that trains)");
  declared.option("--split", a.split, "train, val or test")
      .one_of({"train", "val", "test"})
      .show_default();
  declared.option("--tome", a.tome, "tokens merged in each block; several: 0,8,16")
      .comma_separated();
  declared.option("--out", a.out, "folder for metrics.json, per_class.csv, predictions.h5");
  declared.option("--precision", a.precision, "fp32, bf16 or fp16")
      .one_of({"fp32", "bf16", "fp16"})
      .show_default();
  declared.option("--device", a.device, "cpu or gpu:0 (default: the best there is)");
  declared.option("--batch", a.batch, "clips in a forward pass");
  declared.option("--threads", a.threads, "CPU threads (default: all that this process may use)");
  declared.option("--replay", a.replay, "compute a kept broken step of a training again");
}

int Evaluate::run(Session&) {
  const EvaluateArguments& a = asked_;
  if (a.replay.empty() && (a.checkpoint.empty() || a.data.recipe.recipe.empty()))
    throw Error("exp evaluate: give CHECKPOINT and RECIPE, or --replay FILE");
  if (!a.replay.empty() && !a.checkpoint.empty())
    throw Error("exp evaluate: --replay goes without a checkpoint; the weights are in its file");
  return kContinue;
}

}  // namespace

std::unique_ptr<Command> make_evaluate() { return std::make_unique<Evaluate>(); }

}  // namespace xp::cli
