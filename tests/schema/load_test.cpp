#include "core/schema/load.h"

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/schema/stage_options.h"
#include "tests/testing/temp_dir.h"

namespace xp::schema {
namespace {

/// Writes files into a folder of its own and loads the first.
class RecipeFiles {
 public:
  const std::filesystem::path& add(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    write_file_atomic(folder_.path() / name, text);
    if (main_.empty()) main_ = folder_.path() / name;
    return main_;
  }
  recipe::Recipe load(recipe::LoadOptions options = {}) const {
    return load_recipe(main_, options);
  }
  /// What the error says, the folder's name taken out; "" when there is none.
  std::string fault(recipe::LoadOptions options = {}) const {
    try {
      load(std::move(options));
      return "";
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
        text.erase(at, prefix.size());
      return text;
    }
  }

 private:
  testing::TempDir folder_;
  std::filesystem::path main_;
};

constexpr const char* kSmall = R"(
[dataset]
name = "esc50"
root = "data"
val = "test"
[frontend]
frames = 512
[model]
arch = "ast-nano"
[optimiser]
lr = 1e-4
[tome]
r = 4
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
)";

TEST(RecipeLoad, StagesAndCarriedSections) {
  RecipeFiles files;
  files.add("a.toml", kSmall);
  const auto recipe = files.load();
  ASSERT_EQ(recipe.stages().size(), 2u);
  EXPECT_EQ(recipe.stages()[0].name, "train");
  const recipe::View& eval = recipe.stages()[1].instances[0].view;
  EXPECT_EQ(eval.carried_from, "stage train");
  EXPECT_EQ(eval.build<ModelOptions>().arch, "ast-nano");
  EXPECT_EQ(EvaluateStageOptions::configure(eval).tome->r.value, 4);
  EXPECT_EQ(recipe.goals(), std::vector<std::string>{"eval"});
  EXPECT_EQ(recipe.hash().size(), 64u);
}

TEST(RecipeLoad, ShowReproducesTheRecipe) {
  RecipeFiles files;
  files.add("a.toml", kSmall);
  const auto recipe = files.load();
  RecipeFiles shown;
  shown.add("b.toml", recipe.show());
  EXPECT_EQ(shown.load().hash(), recipe.hash());
  EXPECT_EQ(shown.load().canonical(), recipe.canonical());
}

TEST(RecipeLoad, AllFaultsAtOnce) {
  RecipeFiles files;
  files.add(
      "a.toml",
      "extends = [\"b.toml\"]\n[model]\narch = \"ast-nano\"\nwidht = 3\n[train]\nepochs = \"ten\"\n"
      "[stages.train]\ndo = \"train\"\n");
  files.add("b.toml", "[dataset]\nname = \"esc5\"\n");
  EXPECT_EQ(files.fault(), R"(a.toml:4:1: unknown key 'widht' in [model]
  widht = 3
  ^
a.toml:6:10: train.epochs: expected an integer in [1, 1000000], received a string "ten"
  epochs = "ten"
           ^
a.toml:7:9: stage train needs optimiser.lr: learning rate (a float in (0, 100])
  [stages.train]
          ^
b.toml:2:8: dataset.name: expected one of audioset, esc50, speechcommands, fsd50k, openmic, librispeech, json, folder, passt_hdf5, synthetic, received a string "esc5"; did you mean 'esc50'?
  name = "esc5"
         ^)");
}

}  // namespace
}  // namespace xp::schema
