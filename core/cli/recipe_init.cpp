#include "core/cli/recipe_init.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/recipe/value.h"
#include "core/schema/eval.h"

namespace fs = std::filesystem;

namespace xp::cli {
namespace {

/// As it is written into the recipe, quoted. "" is the working folder: what holds "train.json".
std::string path_for(const std::string& path, const std::string& output) {
  const fs::path absolute = fs::weakly_canonical(fs::absolute(path.empty() ? "." : path));
  const fs::path relative =
      absolute.lexically_relative(fs::weakly_canonical(fs::absolute(output)).parent_path());
  const bool below = !relative.empty() && *relative.begin() != "..";
  return recipe::quote(below ? relative.string() : absolute.string());
}

/// Kaldi's frames of a clip at 16 kHz, up to the next multiple of 16 (a patch), between 1 and 32 s.
int64_t frames_for(double length_s) {
  const auto samples = static_cast<int64_t>(std::ceil(length_s * 16000));
  const int64_t frames = samples < 400 ? 1 : 1 + (samples - 400) / 160;
  return std::clamp<int64_t>((frames + 15) / 16 * 16, 32, 3200);
}

std::string dataset_text(const InitArguments& arguments, const InitFacts& facts) {
  std::string out = "[dataset]\n";
  if (arguments.json()) {
    out += fmt::format("name = \"json\"\nroot = {}\njson_train = {}\n",
                       path_for(fs::path(arguments.data).parent_path().string(), arguments.output),
                       path_for(arguments.data, arguments.output));
    if (!arguments.val.empty())
      out += fmt::format("json_val = {}\n", path_for(arguments.val, arguments.output));
    out += fmt::format("json_test = {}\n", path_for(arguments.test, arguments.output));
  } else {
    out +=
        fmt::format("name = \"folder\"\nroot = {}\n", path_for(arguments.data, arguments.output));
  }
  if (!arguments.labels.empty())
    out += fmt::format("labels = {}\n", path_for(arguments.labels, arguments.output));
  if (facts.val_clips == 0) out += "val = \"none\"\n";
  if (facts.test_clips == 0) out += "test = \"none\"\n";
  return out;
}

class RecipeInit : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    declared
        .option(
            "--data", arguments_.data,
            "a folder with a folder per class (in train/ val/ test/ or not), or an AST data JSON")
        .required();
    declared.option("--test", arguments_.test, "with a JSON: the data JSON of the test clips");
    declared.option("--val", arguments_.val, "with a JSON: the data JSON of the validation clips");
    declared.option("--labels", arguments_.labels,
                    "label CSV (index,mid,display_name); needed with a JSON");
    declared.option("-o,--output", arguments_.output, "recipe to write (default: recipe.toml)");
    declared.flag("--force", arguments_.force, "overwrite");
    declared.footer(
        "Example:\n  exp recipe init --data my_sounds -o my_recipe.toml\n  exp run "
        "my_recipe.toml\n");
  }

  /// Decoding needs exp-compute; what is plainly wrong is told before.
  int run(Session& /*session*/) override {
    if (!fs::exists(arguments_.data))
      throw Error(fmt::format("--data {}: there is no such file or folder", arguments_.data),
                  Exit::kData);
    if (!arguments_.force && fs::exists(arguments_.output) && !fs::is_other(arguments_.output)) {
      throw Error(fmt::format("{} is there already; --force overwrites it", arguments_.output));
    }
    if (arguments_.json() && (arguments_.test.empty() || arguments_.labels.empty())) {
      throw Error("--data with a JSON needs --test FILE.json and --labels FILE.csv as well");
    }
    return Command::kContinue;
  }

  const InitArguments& arguments() const { return arguments_; }

 private:
  InitArguments arguments_;
};

}  // namespace

std::string init_recipe_text(const InitArguments& arguments, const InitFacts& facts) {
  const bool single = facts.labels_per_clip <= 1;
  const int64_t frames = frames_for(facts.length_s);
  const int64_t scored = facts.test_clips > 0 ? facts.test_clips : facts.val_clips;
  const int64_t batch = std::clamp<int64_t>(facts.train_clips / 8, 1, 16);
  std::string out = fmt::format(
      "# Written by exp recipe init: {} classes, {} training, {} validation and {} test clips, at "
      "most {} label{} a clip;\n"
      "# nineteen of twenty clips are no longer than {:.2f} s. Statistics from {} clips.\n\n"
      "[experiment]\nname = {}\n\n",
      facts.classes, facts.train_clips, facts.val_clips, facts.test_clips, facts.labels_per_clip,
      single ? "" : "s", facts.length_s, facts.measured,
      recipe::quote(fs::path(arguments.output).stem().string()));
  out += dataset_text(arguments, facts);
  out += fmt::format(
      "\n[frontend]\nkind = \"kaldi\"\nframes = {}\nnorm_mean = {}\nnorm_std = {}\n\n"
      "[augment]\nfreq_mask_bins = 48                   # AST's rule for other data: 48 bins, 20 % "
      "of the frames\n"
      "time_mask_frames = {}\n\n"
      "# A small AST from scratch. With more data or patience: arch = \"ast-base384\" and\n"
      "# weights = \"audioset_10_10_0.4593\" (exp fetch audioset_10_10_0.4593), fstride = tstride "
      "= 10, lr = 1e-5.\n"
      "[model]\narch = \"ast-nano\"\nfstride = 16\ntstride = 16\n\n",
      frames, recipe::to_toml(facts.norm_mean), recipe::to_toml(facts.norm_std), frames / 5);
  const std::string_view metric =
      recipe::enum_name(single ? schema::Metric::k_acc : schema::Metric::k_mAP);
  out += fmt::format("[train]\nepochs = 30\nbatch_size = {}\nloss = \"{}\"\nselect = {}\n\n", batch,
                     single ? "ce" : "bce",
                     facts.val_clips > 0 ? fmt::format("\"max:val.{}\"", metric) : "\"last\"");
  out +=
      "[optimiser]\nkind = \"adamw\"\nlr = 1e-3\nweight_decay = 0.05\n\n"
      "[schedule]\nkind = \"cosine\"\nwarmup_epochs = 3\ndown_epochs = 27\n\n";
  out += fmt::format(
      "[eval]\nmetrics = [{}]\n",
      single ? "\"acc\", \"mAP\", \"confusion\"" : "\"mAP\", \"auc\", \"d_prime\", \"per_class\"");
  if (facts.test_clips == 0)
    out += "split = \"val\"                         # there are no test clips\n";
  out += fmt::format(
      "\n[stages.train]\ndo = \"train\"\n\n[stages.eval]                         # {} clips\ndo = "
      "\"evaluate\"\n"
      "checkpoint = \"${{stages.train.{}}}\"\n\n"
      "[stages.baseline]                     # what a model has to beat\ndo = \"baseline\"\n\n"
      "[variants.tiny]\nhelp = \"two epochs, to see that all works\"\ntrain.epochs = 2\n"
      "schedule = {{ warmup_epochs = 1, down_epochs = 1 }}\n",
      scored, facts.val_clips > 0 ? "best" : "last");
  return out;
}

const InitArguments* init_arguments(Command& command) {
  const auto* init = dynamic_cast<RecipeInit*>(&recipe_part(command));
  return init == nullptr ? nullptr : &init->arguments();
}

std::unique_ptr<RecipePart> make_recipe_init() { return std::make_unique<RecipeInit>(); }

}  // namespace xp::cli
