#include "core/cli/data.h"

#include <CLI/CLI.hpp>

#include "core/base/error.h"

namespace xp::cli {
namespace {

void declare_recipe(CLI::App& app, DataArguments& a) {
  app.add_option("recipe", a.recipe.recipe, "recipe file (default: default_recipe of exp.toml)");
  app.add_option("--set", a.recipe.set, "KEY=VALUE on top of the recipe; may be repeated")
      ->take_all();
  app.add_option("--variant", a.recipe.variants, "a [variants.NAME] of the recipe; may be repeated")
      ->take_all();
  app.add_option(
      "--stage", a.stage,
      "whose data set, front end and augmentation are meant (default: the first that trains)");
}

void declare_split(CLI::App& app, DataArguments& a) {
  app.add_option("--split", a.split, "train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
}

}  // namespace

void DataCommand::declare(CLI::App& app) {
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  exp data stats recipes/esc50/kfold.toml --norm\n"
      "  exp data verify recipes/esc50/kfold.toml\n"
      "  exp data show recipes/audioset/kd.toml --batch --out pictures\n"
      "  exp data convert recipes/esc50/kfold.toml --out esc50_ast\n"
      "  exp data missing recipes/audioset/kd.toml --out lists\n");

  CLI::App* stats =
      app.add_subcommand("stats", "clips, durations, levels and class counts of each split");
  declare_recipe(*stats, arguments_);
  stats->add_flag("--norm", arguments_.norm,
                  "mean and deviation of the log-mel values of the training split");
  stats->add_flag("--ast-norm", arguments_.ast_norm,
                  "the same as AST's get_norm_stats.py has it: masks, mixing and padding count");
  stats->add_flag("--classes", arguments_.per_class, "clips of each class");

  CLI::App* verify =
      app.add_subcommand("verify", "reads every clip of the shards against its checksum");
  declare_recipe(*verify, arguments_);
  verify->add_option("--folder", arguments_.folder, "a prepared folder, in place of a recipe");

  CLI::App* show =
      app.add_subcommand("show", "a clip, or a batch as the model gets it, as PNG and WAV");
  declare_recipe(*show, arguments_);
  declare_split(*show, arguments_);
  show->add_option("--clip", arguments_.clip, "id of a clip (default: the first of the split)");
  show->add_flag("--batch", arguments_.batch, "a training batch after all augmentation");
  show->add_option("--step", arguments_.step, "which batch of the first epoch")
      ->check(CLI::NonNegativeNumber);
  show->add_option("--out", arguments_.out,
                   "folder for the files (default: the working directory)");

  CLI::App* convert =
      app.add_subcommand("convert", "the data set in AST's form: data JSON, label CSV, weight CSV");
  declare_recipe(*convert, arguments_);
  convert->add_option("--out", arguments_.out, "folder for the files")->required();

  CLI::App* missing = app.add_subcommand(
      "missing", "listed clips without a file; with --out the lists without them");
  declare_recipe(*missing, arguments_);
  missing->add_option("--out", arguments_.out, "folder for missing.csv and filtered segment lists");

  parts_ = {stats, verify, show, convert, missing};
}

int DataCommand::run(Session&) {
  const DataArguments a = arguments();
  if (a.part == "verify" && !a.folder.empty() && !a.recipe.recipe.empty()) {
    throw Error("exp data verify: give a recipe or --folder, not both");
  }
  if (a.part == "show" && a.batch && !a.clip.empty())
    throw Error("exp data show: give --clip or --batch, not both");
  return kContinue;
}

DataArguments DataCommand::arguments() const {
  DataArguments out = arguments_;
  for (const CLI::App* part : parts_) {
    if (part->parsed()) out.part = part->get_name();
  }
  return out;
}

std::unique_ptr<Command> make_data() { return std::make_unique<DataCommand>(); }

}  // namespace xp::cli
