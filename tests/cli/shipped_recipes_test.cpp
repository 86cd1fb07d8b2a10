// The shipped recipes with the real programs and real sounds: a step of every stage of the tiny
// variants. `scripts/tiny_recipes.py` runs them to the end.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

class TinyRecipesIntegration : public ::testing::TestWithParam<const char*> {};

// Some seconds a recipe, so a test each: they run side by side.
TEST_P(TinyRecipesIntegration, EveryStageMakesAStep) {
  if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
  for (const char* set : {"audioset_mini", "esc10", "speech_commands"}) {
    if (!fs::is_directory(fs::path(testing::env("EXP_DATA")) / set))
      GTEST_SKIP() << "EXP_DATA has no " << set;
  }
  const testing::TempDir folder;
  const fs::path recipe = testing::source_dir() / "recipes" / fmt::format("{}.toml", GetParam());
  const testing::Shell said = testing::shell(fmt::format(
      "cd '{}' && touch exp.toml && NO_COLOR=1 {}/exp --quiet run '{}' --variant tiny --check",
      folder.path().string(), XP_BIN_DIR, recipe.string()));
  EXPECT_EQ(said.code, 0) << said.text;
}

constexpr const char* kRecipes[] = {"audioset/ast_balanced",
                                    "audioset/ast_full",
                                    "audioset/ensemble",
                                    "audioset/kd",
                                    "audioset/mini_cnn",
                                    "audioset/mini_kd",
                                    "audioset/mn",
                                    "audioset/passt",
                                    "audioset/patchout_sweep",
                                    "audioset/ssast_finetune",
                                    "audioset/ssast_pretrain",
                                    "audioset/tome_sweep",
                                    "esc50/ast",
                                    "esc50/esc10_kfold",
                                    "esc50/esc10_sweeps",
                                    "esc50/kfold",
                                    "esc50/passt",
                                    "esc50/pool",
                                    "esc50/quickstart",
                                    "esc50/tome_sweep",
                                    "speechcommands/ast",
                                    "speechcommands/core10_cnn",
                                    "speechcommands/core10_kd",
                                    "speechcommands/core10_ssast",
                                    "speechcommands/kd",
                                    "speechcommands/ssast_finetune",
                                    "speechcommands/tome_sweep"};

INSTANTIATE_TEST_SUITE_P(Shipped, TinyRecipesIntegration, ::testing::ValuesIn(kRecipes),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST(TinyRecipes, AreAllRun) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(testing::source_dir() / "recipes")) {
    const fs::path& path = entry.path();
    if (path.extension() == ".toml" && path.filename().string().front() != '_')
      found.push_back(path.parent_path().filename().string() + "/" + path.stem().string());
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, std::vector<std::string>(std::begin(kRecipes), std::end(kRecipes)));
}

}  // namespace
}  // namespace xp::cli
