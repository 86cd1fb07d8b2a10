#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/cli/command.h"
#include "core/recipe/recipe.h"

namespace xp::cli {

/// One of `exp recipe check|show|...`. `run` as in Command.
class RecipePart {
 public:
  virtual ~RecipePart() = default;
  virtual void declare(Arguments& declared) = 0;
  virtual int run(Session& session) = 0;
};

/// The part that the command line chose. `command` is the one that `exp recipe` made.
RecipePart& recipe_part(Command& command);

/// What names a recipe on a command line: RECIPE --variant NAME... --set KEY=VALUE...
struct RecipeArguments {
  std::string file;  ///< "" = the workspace's default recipe
  std::vector<std::string> variants;
  std::vector<std::string> sets;

  /// Declares RECIPE, --variant and --set. `required`: RECIPE has to be there.
  void declare(Arguments& declared, bool required);
  /// Throws Error for a --set without '='.
  recipe::LoadOptions options() const;
  /// The file, or the workspace's default recipe. Throws Error when there is neither.
  std::filesystem::path path(const Session& session) const;
  recipe::Recipe load(const Session& session) const;
};

std::unique_ptr<RecipePart> make_recipe_check();
std::unique_ptr<RecipePart> make_recipe_diff();
std::unique_ptr<RecipePart> make_recipe_explain();
std::unique_ptr<RecipePart> make_recipe_init();
std::unique_ptr<RecipePart> make_recipe_plan();
std::unique_ptr<RecipePart> make_recipe_schema();
std::unique_ptr<RecipePart> make_recipe_show();
std::unique_ptr<RecipePart> make_recipe_variants();

}  // namespace xp::cli
