#include "core/cli/data.h"

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {
namespace {

void declare_recipe(Arguments& declared, DataArguments& a) {
  declared.option("recipe", a.recipe.recipe, "recipe file (default: default_recipe of exp.toml)");
  declared.option("--set", a.recipe.set, "KEY=VALUE on top of the recipe; may be repeated")
      .take_all();
  declared
      .option("--variant", a.recipe.variants, "a [variants.NAME] of the recipe; may be repeated")
      .take_all();
  declared.option(
      "--stage", a.stage,
      "whose data set, front end and augmentation are meant (default: the first that trains)");
}

void declare_split(Arguments& declared, DataArguments& a) {
  declared.option("--split", a.split, "train, val or test")
      .one_of({"train", "val", "test"})
      .show_default();
}

class Data final : public CommandOf<DataArguments> {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

void Data::declare(Arguments& declared) {
  declared.require_subcommand();
  declared.footer(
      "Examples:\n"
      "  exp data stats recipes/esc50/kfold.toml --norm\n"
      "  exp data verify recipes/esc50/kfold.toml\n"
      "  exp data show recipes/audioset/kd.toml --batch --out pictures\n"
      "  exp data convert recipes/esc50/kfold.toml --out esc50_ast\n"
      "  exp data missing recipes/audioset/kd.toml --out lists\n");

  Arguments stats = declared.subcommand(
      "stats", "clips, durations, levels and class counts of each split", asked_.part);
  declare_recipe(stats, asked_);
  stats.flag("--norm", asked_.norm,
             "mean and deviation of the log-mel values of the training split");
  stats.flag("--ast-norm", asked_.ast_norm,
             "the same as AST's get_norm_stats.py has it: masks, mixing and padding count");
  stats.flag("--classes", asked_.per_class, "clips of each class");

  Arguments verify = declared.subcommand(
      "verify", "reads every clip of the shards against its checksum", asked_.part);
  declare_recipe(verify, asked_);
  verify.option("--folder", asked_.folder, "a prepared folder, in place of a recipe");

  Arguments show = declared.subcommand(
      "show", "a clip, or a batch as the model gets it, as PNG and WAV", asked_.part);
  declare_recipe(show, asked_);
  declare_split(show, asked_);
  show.option("--clip", asked_.clip, "id of a clip (default: the first of the split)");
  show.flag("--batch", asked_.batch, "a training batch after all augmentation");
  show.option("--step", asked_.step, "which batch of the first epoch").not_negative();
  show.option("--out", asked_.out, "folder for the files (default: the working directory)");

  Arguments convert = declared.subcommand(
      "convert", "the data set in AST's form: data JSON, label CSV, weight CSV", asked_.part);
  declare_recipe(convert, asked_);
  convert.option("--out", asked_.out, "folder for the files").required();

  Arguments missing = declared.subcommand(
      "missing", "listed clips without a file; with --out the lists without them", asked_.part);
  declare_recipe(missing, asked_);
  missing.option("--out", asked_.out, "folder for missing.csv and filtered segment lists");
}

int Data::run(Session&) {
  const DataArguments& a = asked_;
  if (a.part == "verify" && !a.folder.empty() && !a.recipe.recipe.empty()) {
    throw Error("exp data verify: give a recipe or --folder, not both");
  }
  if (a.part == "show" && a.batch && !a.clip.empty())
    throw Error("exp data show: give --clip or --batch, not both");
  return kContinue;
}

}  // namespace

std::unique_ptr<Command> make_data() { return std::make_unique<Data>(); }

}  // namespace xp::cli
