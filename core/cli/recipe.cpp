#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/recipe_command.h"
#include "core/run/workspace.h"
#include "core/schema/load.h"

namespace xp::cli {
namespace {

struct Part {
  const char* name;
  const char* help;
  std::unique_ptr<RecipePart> (*make)();
};

constexpr Part kParts[] = {
    {"check", "every fault of recipes and all their variants, before anything runs",
     &make_recipe_check},
    {"diff", "what differs between two resolved recipes", &make_recipe_diff},
    {"explain", "who set a key: the chain from the default on", &make_recipe_explain},
    {"init", "write a recipe for a folder of audio or a data JSON, ready to run",
     &make_recipe_init},
    {"plan", "the graph of stages: what is cached, what will run, and why", &make_recipe_plan},
    {"schema", "JSON Schema of recipes, for editors", &make_recipe_schema},
    {"show", "the resolved recipe, which reproduces the run by itself", &make_recipe_show},
    {"variants", "the variants of a recipe", &make_recipe_variants},
};

class RecipeCommand : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.require_subcommand();
    declared.footer(
        "Examples:\n"
        "  exp recipe check recipes/audioset/kd.toml\n"
        "  exp recipe explain tome.r recipes/audioset/kd.toml --variant tiny\n"
        "  exp recipe show recipes/esc50/quickstart.toml --set train.epochs=3\n"
        "  exp recipe init --data my_sounds -o my_recipe.toml\n");
    for (const Part& part : kParts) {
      parts_.push_back(part.make());
      Arguments of_part = declared.subcommand(part.name, part.help, chosen_);
      parts_.back()->declare(of_part);
    }
  }

  int run(Session& session) override { return chosen().run(session); }

  RecipePart& chosen() {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (chosen_ == kParts[i].name) return *parts_[i];
    }
    throw Error("exp recipe: which part? see `exp recipe --help`");
  }

 private:
  std::vector<std::unique_ptr<RecipePart>> parts_;
  std::string chosen_;
};

}  // namespace

void RecipeArguments::declare(Arguments& declared, bool required) {
  Option recipe_file =
      declared.option("recipe", file, "recipe file (default: default_recipe of exp.toml)");
  if (required) recipe_file.required();
  declared.option("--variant", variants, "a [variants.NAME] of the recipe; may be repeated")
      .take_all();
  declared.option("--set", sets, "KEY=VALUE on top of the recipe; may be repeated").take_all();
}

recipe::LoadOptions RecipeArguments::options() const {
  recipe::LoadOptions out;
  out.variants = variants;
  for (const std::string& text : sets) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(fmt::format("--set {}: expected KEY=VALUE, as in --set train.epochs=3", text));
    }
    out.overrides.push_back({text.substr(0, equals), text.substr(equals + 1), "--set"});
  }
  return out;
}

std::filesystem::path RecipeArguments::path(const Session& session) const {
  if (!file.empty()) return file;
  const run::Workspace workspace = run::load_workspace(session.workspace());
  if (!workspace.default_recipe.empty()) return workspace.default_recipe;
  throw Error("which recipe? name a file, or set default_recipe in exp.toml");
}

recipe::Recipe RecipeArguments::load(const Session& session) const {
  return schema::load_recipe(path(session), options());
}

RecipePart& recipe_part(Command& command) { return static_cast<RecipeCommand&>(command).chosen(); }

std::unique_ptr<Command> make_recipe() { return std::make_unique<RecipeCommand>(); }

}  // namespace xp::cli
