// Every recipe that is shipped, and every variant of it.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/recipe/options_io.h"
#include "core/recipe/reference.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/temp_dir.h"

namespace xp::schema {
namespace {

namespace fs = std::filesystem;

/// recipes/*/*.toml without the shared base files, whose names begin with '_'.
std::vector<fs::path> shipped() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(testing::source_dir() / "recipes")) {
    const fs::path& path = entry.path();
    if (path.extension() == ".toml" && path.filename().string().front() != '_') out.push_back(path);
  }
  std::sort(out.begin(), out.end());
  return out;
}

recipe::LoadOptions no_environment(std::vector<std::string> variants = {}) {
  recipe::LoadOptions options;
  options.variants = std::move(variants);
  options.environment = [](const std::string&) { return std::optional<std::string>(); };
  return options;
}

TEST(ShippedRecipes, AreAllThere) {
  std::set<std::string> names;
  for (const fs::path& path : shipped())
    names.insert(path.parent_path().filename().string() + "/" + path.stem().string());
  for (const char* name : {"esc50/quickstart",
                           "esc50/ast",
                           "esc50/passt",
                           "esc50/kfold",
                           "esc50/tome_sweep",
                           "speechcommands/ast",
                           "speechcommands/kd",
                           "speechcommands/tome_sweep",
                           "speechcommands/ssast_finetune",
                           "audioset/ast_balanced",
                           "audioset/ast_full",
                           "audioset/passt",
                           "audioset/mn",
                           "audioset/ssast_pretrain",
                           "audioset/ssast_finetune",
                           "audioset/kd",
                           "audioset/tome_sweep",
                           "audioset/patchout_sweep",
                           "audioset/ensemble",
                           "audioset/mini_cnn",
                           "audioset/mini_kd",
                           "speechcommands/core10_cnn",
                           "speechcommands/core10_kd",
                           "speechcommands/core10_ssast",
                           "esc50/esc10_kfold",
                           "esc50/esc10_sweeps"}) {
    EXPECT_EQ(names.count(name), 1u) << name;
  }
}

TEST(ShippedRecipes, EveryVariantIsFineAndShowReproducesIt) {
  testing::TempDir folder;
  const fs::path shown = folder.path() / "shown.toml";
  for (const fs::path& path : shipped()) {
    SCOPED_TRACE(path.string());
    const auto whole = load_recipe(path, no_environment());
    std::vector<std::vector<std::string>> choices = {{}};
    bool tiny = false;
    for (const recipe::VariantInfo& variant : whole.variants()) {
      EXPECT_NE(variant.help, "") << variant.name;
      choices.push_back({variant.name});
      tiny = tiny || variant.name == "tiny";
    }
    EXPECT_TRUE(tiny);
    for (const auto& variants : choices) {
      SCOPED_TRACE(variants.empty() ? "" : variants.front());
      const auto recipe = load_recipe(path, no_environment(variants));
      write_file_atomic(shown, recipe.show());
      EXPECT_EQ(load_recipe(shown, no_environment()).canonical(), recipe.canonical());
    }
  }
}

TEST(ShippedRecipes, TinyNeedsNoPublishedWeights) {
  for (const fs::path& path : shipped()) {
    SCOPED_TRACE(path.string());
    const auto recipe = load_recipe(path, no_environment({"tiny"}));
    for (const recipe::Stage& stage : recipe.stages()) {
      for (const recipe::Instance& instance : stage.instances) {
        const recipe::Value* weights = instance.view.find("model", "weights");
        const bool none = weights == nullptr || *weights == recipe::Value("none");
        const bool of_a_stage =
            !none && recipe::parse_reference(std::get<std::string>(weights->data)).has_value();
        EXPECT_TRUE(none || of_a_stage || instance.view.carried_from != "") << instance.name;
        for (const std::string& checkpoint : instance.view.key_inputs("checkpoint").list) {
          EXPECT_TRUE(recipe::parse_reference(checkpoint)) << checkpoint;
        }
      }
    }
  }
}

TEST(RecipeReference, IsCurrent) {
  const std::string page = read_file(testing::source_dir() / "docs/recipe_reference.md");
  EXPECT_EQ(page, recipe::reference_markdown(language()))
      << "run: exp recipe schema --markdown > docs/recipe_reference.md";
}

TEST(DefaultRecipe, IsEvaluationOnlyInR) {
  const auto recipe =
      load_recipe(testing::source_dir() / "recipes/esc50/tome_sweep.toml", no_environment());
  EXPECT_NO_THROW(recipe.check_settable("tome.r", "--param"));
  recipe::LoadOptions other = no_environment();
  other.overrides.push_back({"tome.r", "16", "--set"});
  const auto merged = load_recipe(testing::source_dir() / "recipes/esc50/tome_sweep.toml", other);
  const recipe::View& before = recipe.find_stage("train")->instances[0].view;
  const recipe::View& after = merged.find_stage("train")->instances[0].view;
  EXPECT_EQ(before.sections, after.sections);
  EXPECT_NE(recipe.hash(), merged.hash());
}

TEST(ShippedRecipes, AnInferenceVariantReadsRInItsEvaluationAlone) {
  const std::filesystem::path path = testing::source_dir() / "recipes/esc50/esc10_sweeps.toml";
  recipe::LoadOptions options = no_environment({"inference"});
  const auto plain = load_recipe(path, options);
  options.overrides.push_back({"tome.r", "64", "--set"});
  const auto merged = load_recipe(path, options);
  const auto sections = [](const recipe::Recipe& recipe, std::string_view stage) {
    return recipe.find_stage(stage)->instances[0].view.sections;
  };
  EXPECT_EQ(sections(plain, "train"), sections(merged, "train"));
  EXPECT_NE(sections(plain, "eval"), sections(merged, "eval"));
}

/// What a training stage of a shipped recipe is made of.
std::string training(const char* recipe, std::string_view stage,
                     const std::vector<std::string>& variants = {}) {
  const auto loaded =
      load_recipe(testing::source_dir() / "recipes" / recipe, no_environment(variants));
  return recipe::canonical_text(
      TrainStageOptions::configure(loaded.find_stage(stage)->instances[0].view));
}

TEST(ShippedRecipes, ATeacherIsTheCnnOfItsOwnRecipe) {
  EXPECT_EQ(training("speechcommands/core10_kd.toml", "teacher"),
            training("speechcommands/core10_cnn.toml", "train"))
      << "it is trained once for both";
  EXPECT_EQ(training("audioset/mini_kd.toml", "teacher"),
            training("audioset/mini_cnn.toml", "train"));
}

TEST(ShippedRecipes, WhatIsSetForTheStudentLeavesItsTeacherAsItWas) {
  struct Taught {
    const char* recipe;
    const char* teacher;
  };
  for (const auto& [file, teacher] :
       {Taught{"speechcommands/core10_kd.toml", "teacher"},
        Taught{"speechcommands/kd.toml", "teacher"}, Taught{"audioset/kd.toml", "teacher"},
        Taught{"audioset/mini_kd.toml", "teacher"}}) {
    const std::string before = training(file, teacher);
    for (const char* set : {"experiment.seed=5", "augment.gain_db=3", "train.label_smoothing=0.1",
                            "sampler.kind=class_balanced", "train.epochs=20", "optimiser.lr=0.5"}) {
      recipe::LoadOptions options = no_environment();
      const std::string text = set;
      const size_t equals = text.find('=');
      options.overrides.push_back({text.substr(0, equals), text.substr(equals + 1), "--set"});
      const auto loaded = load_recipe(testing::source_dir() / "recipes" / file, options);
      EXPECT_EQ(recipe::canonical_text(
                    TrainStageOptions::configure(loaded.find_stage(teacher)->instances[0].view)),
                before)
          << file << ": " << set;
    }
  }
}

TEST(ShippedRecipes, TheSweepOfMergingTrainsAstAsItsOwnRecipeDoes) {
  EXPECT_EQ(training("esc50/tome_sweep.toml", "train", {"ast"}),
            training("esc50/ast.toml", "train"));
}

}  // namespace
}  // namespace xp::schema
