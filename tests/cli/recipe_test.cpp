// `exp recipe` as a user meets it, and the recipe that init writes.
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/cli/recipe_init.h"
#include "core/recipe/language.h"
#include "core/schema/load.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

using testing::Shell;

Shell exp_in(const std::filesystem::path& folder, const std::string& arguments) {
  return testing::shell(
      fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", folder.string(), XP_BIN_DIR, arguments));
}

constexpr const char* kGood =
    "[dataset]\nname = \"synthetic\"\n[model]\narch = \"ast-nano\"\n[optimiser]\nlr = "
    "1e-3\n[tome]\nr = 2\n"
    "[stages.train]\ndo = \"train\"\n[variants.v]\nhelp = \"less\"\ntome.r = 1\n";

TEST(RecipeCommand, CheckTellsEveryFaultAndExitsWithTwo) {
  testing::TempDir folder;
  write_file_atomic(folder.path() / "a.toml", kGood);
  write_file_atomic(folder.path() / "b.toml",
                    std::string(kGood) + "[train]\nepochs = \"x\"\nbatch_sise = 3\n");
  EXPECT_EQ(exp_in(folder.path(), "recipe check a.toml").code, 0);
  const Shell bad = exp_in(folder.path(), "recipe check a.toml b.toml");
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.text.find("b.toml:15:10: train.epochs: expected an integer in [1, 1000000], "
                          "received a string \"x\""),
            std::string::npos)
      << bad.text;
  EXPECT_NE(
      bad.text.find("b.toml:16:1: unknown key 'batch_sise' in [train]; did you mean 'batch_size'?"),
      std::string::npos)
      << bad.text;
  EXPECT_NE(bad.text.find("1 of 2 recipes at fault"), std::string::npos) << bad.text;
}

TEST(RecipeCommand, ExplainShowVariantsDiff) {
  testing::TempDir folder;
  write_file_atomic(folder.path() / "a.toml", kGood);
  EXPECT_EQ(exp_in(folder.path(), "recipe explain tome.r a.toml --variant v").text,
            "tome.r: tokens merged in every block, or an array with a number a block; clamped to "
            "half of what is there (an integer in "
            "[0, 100000], or an array of them)\n  default    0\n  file       2  a.toml:8:1\n  "
            "variant v  1  a.toml:13:6\n");
  EXPECT_EQ(exp_in(folder.path(), "recipe variants a.toml").text, "v  less  a.toml:11\n");
  EXPECT_EQ(exp_in(folder.path(), "recipe diff a.toml a.toml@v").text,
            "train.tome.r\n  - 2\n  + 1\n");
  const Shell shown =
      exp_in(folder.path(), "recipe show a.toml > b.toml && cd . && " + std::string(XP_BIN_DIR) +
                                "/exp recipe diff a.toml b.toml");
  EXPECT_EQ(shown.text.substr(0, 21), "the same results: has") << shown.text;
}

TEST(RecipeCommand, SchemaIsClosedAndKnowsEveryKey) {
  testing::TempDir folder;
  const auto schema = nlohmann::json::parse(exp_in(folder.path(), "recipe schema").text);
  EXPECT_EQ(schema["$schema"], "http://json-schema.org/draft-07/schema#");
  EXPECT_EQ(schema["additionalProperties"], false);
  for (const recipe::SectionSpec& section : schema::language().sections) {
    EXPECT_EQ(schema["definitions"][section.name]["additionalProperties"], false);
    for (const recipe::FieldSpec& field : section.fields) {
      EXPECT_TRUE(schema["definitions"][section.name]["properties"].contains(field.key))
          << field.dotted();
    }
  }
}

std::string hash_of_written(const InitArguments& arguments, const InitFacts& facts) {
  write_file_atomic(arguments.output, init_recipe_text(arguments, facts));
  return schema::load_recipe(arguments.output).hash();
}

TEST(RecipeInit, WritesRecipesThatCheck) {
  testing::TempDir folder;
  std::filesystem::create_directories(folder.path() / "sounds");
  InitArguments arguments;
  arguments.data = (folder.path() / "sounds").string();
  arguments.output = (folder.path() / "r.toml").string();
  InitFacts facts{320, 40, 40, 10, 1, 5.0, -6.6, 5.4, 320};
  EXPECT_EQ(hash_of_written(arguments, facts).size(), 64u);
  const std::string text = read_file(arguments.output);
  EXPECT_NE(text.find("root = \"sounds\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("frames = 512\n"), std::string::npos) << text;
  EXPECT_NE(text.find("loss = \"ce\"\nselect = \"max:val.acc\"\n"), std::string::npos) << text;
  facts.labels_per_clip = 3;
  facts.val_clips = 0;
  hash_of_written(arguments, facts);
  EXPECT_NE(read_file(arguments.output).find("loss = \"bce\"\nselect = \"last\"\n"),
            std::string::npos);
  facts.val_clips = 40;
  facts.test_clips = 0;
  EXPECT_EQ(hash_of_written(arguments, facts).size(), 64u);
}

TEST(RecipeInit, SaysWhatIsMissingBeforeItDecodes) {
  testing::TempDir folder;
  const Shell gone = exp_in(folder.path(), "recipe init --data nowhere");
  EXPECT_EQ(gone.code, 3);
  EXPECT_EQ(gone.text, "error: --data nowhere: there is no such file or folder\n");
  write_file_atomic(folder.path() / "d.json", "{}");
  EXPECT_EQ(exp_in(folder.path(), "recipe init --data d.json").text,
            "error: --data with a JSON needs --test FILE.json and --labels FILE.csv as well\n");
}

}  // namespace
}  // namespace xp::cli
