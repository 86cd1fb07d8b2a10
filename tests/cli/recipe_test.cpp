// `exp recipe` as a user meets it, and the recipe that init writes.
#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/cli/recipe_init.h"
#include "core/recipe/language.h"
#include "core/schema/load.h"
#include "core/schema/sections.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

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
  std::ofstream(folder.path() / "_base.toml") << "train.epochs = 3\n";
  const Shell all = exp_in(folder.path(), "recipe check *.toml");
  EXPECT_NE(all.text.find("_base.toml: passed over, a shared base"), std::string::npos) << all.text;
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

/// A folder per class: four clips a class of ESC-10 where EXP_DATA has it, else made-up tones.
void write_folder_per_class(const std::filesystem::path& root) {
  const std::filesystem::path audio =
      std::filesystem::path(testing::env("EXP_DATA")) / "esc10/audio";
  if (!std::filesystem::is_directory(audio)) {
    for (int kind = 0; kind < 3; ++kind) {
      std::filesystem::create_directories(root / fmt::format("kind{}", kind));
      for (int clip = 0; clip < 20; ++clip) {
        testing::write_wav(root / fmt::format("kind{}/{}.wav", kind, clip), 5.0,
                           300.0 * (kind + 1) + 10 * clip, 16000);
      }
    }
    return;
  }
  std::map<std::string, std::vector<std::filesystem::path>> classes;
  for (const auto& entry : std::filesystem::directory_iterator(audio)) {
    const std::string name = entry.path().stem().string();
    classes[name.substr(name.rfind('-') + 1)].push_back(entry.path());
  }
  for (auto& [name, clips] : classes) {
    std::filesystem::create_directories(root / name);
    std::sort(clips.begin(), clips.end());
    for (std::size_t i = 0; i < 4; ++i)
      std::filesystem::copy_file(clips[i], root / name / clips[i].filename());
  }
  EXPECT_EQ(classes.size(), 10u);
}

TEST(RecipeInitIntegration, WhatItWritesForAFolderPerClassRunsUnedited) {
  if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
  testing::TempDir folder;
  write_file_atomic(folder.path() / "exp.toml", "");
  write_folder_per_class(folder.path() / "sounds");
  const Shell wrote = exp_in(folder.path(), "--quiet recipe init --data sounds -o mine.toml");
  ASSERT_EQ(wrote.code, 0) << wrote.text;

  const auto recipe = schema::load_recipe(folder.path() / "mine.toml");
  const recipe::View& train = recipe.find_stage("train")->instances.front().view;
  const auto frontend = train.build<schema::FrontendOptions>();
  EXPECT_EQ(frontend.frames, 512) << "498 of five seconds, to a multiple of a patch";
  EXPECT_NE(frontend.norm_mean, schema::FrontendOptions().norm_mean);
  EXPECT_GT(frontend.norm_std, 0.5);
  EXPECT_EQ(train.build<schema::AugmentOptions>().time_mask_frames, 102);
  EXPECT_EQ(train.build<schema::TrainOptions>().loss, schema::Loss::kCe);

  EXPECT_EQ(exp_in(folder.path(), "recipe check mine.toml").code, 0);
  const Shell check = exp_in(folder.path(), "--quiet run mine.toml --check");
  EXPECT_EQ(check.code, 0) << check.text;
  const Shell run = exp_in(folder.path(), "--quiet --json run mine.toml --variant tiny 2> err.txt");
  ASSERT_EQ(run.code, 0) << run.text << read_file(folder.path() / "err.txt");
  const auto done = nlohmann::json::parse(run.text);
  for (const auto& stage : done.at("stages")) {
    EXPECT_EQ(stage.at("result"), "done") << stage;
    EXPECT_EQ(stage.at("name") == "eval" || stage.at("name") == "baseline",
              stage.at("metrics").contains("acc"))
        << stage;
  }
}

TEST(RecipeInitIntegration, WhatItWritesForADataJsonRunsUnedited) {
  if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
  testing::TempDir folder;
  write_file_atomic(folder.path() / "exp.toml", "");
  write_file_atomic(folder.path() / "labels.csv",
                    "index,mid,display_name\n0,/m/low,Low\n1,/m/high,High\n2,/m/long,Long\n");
  std::filesystem::create_directories(folder.path() / "wav");
  for (const char* split : {"train", "test"}) {
    nlohmann::json clips = nlohmann::json::array();
    for (int clip = 0; clip < 12; ++clip) {
      const auto file = folder.path() / fmt::format("wav/{}{}.wav", split, clip);
      testing::write_wav(file, clip % 3 == 0 ? 2.0 : 1.0, clip % 2 == 0 ? 300 : 3000, 16000);
      const std::string labels = clip % 2 == 0 ? "/m/low" : "/m/high";
      clips.push_back(
          {{"wav", file.string()}, {"labels", clip % 3 == 0 ? labels + ",/m/long" : labels}});
    }
    write_file_atomic(folder.path() / fmt::format("{}.json", split),
                      nlohmann::json{{"data", clips}}.dump());
  }
  const Shell wrote = exp_in(folder.path(),
                             "--quiet recipe init --data train.json --test test.json --labels "
                             "labels.csv -o mine.toml");
  ASSERT_EQ(wrote.code, 0) << wrote.text;
  const auto recipe = schema::load_recipe(folder.path() / "mine.toml");
  const recipe::View& train = recipe.find_stage("train")->instances.front().view;
  EXPECT_EQ(train.build<schema::TrainOptions>().loss, schema::Loss::kBce) << "two labels a clip";
  EXPECT_EQ(train.build<schema::FrontendOptions>().frames, 208) << "198 of two seconds";
  const Shell run = exp_in(folder.path(), "--quiet run mine.toml --variant tiny");
  EXPECT_EQ(run.code, 0) << run.text;
}

/// Each thing that was given and is not used is said, and what to do where nothing can be written.
TEST(RecipeInitIntegration, DropsNothingInSilence) {
  if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
  testing::TempDir folder;
  const std::string root = std::filesystem::canonical(folder.path()).string();
  write_file_atomic(folder.path() / "labels.csv", "index,mid,display_name\n0,/m/a,A\n");
  const auto list = [&](const std::string& name, int there, int absent) {
    nlohmann::json clips = nlohmann::json::array();
    for (int i = 0; i < there + absent; ++i) {
      const std::string wav = fmt::format("{}{}.wav", name, i);
      if (i < there) testing::write_wav(folder.path() / wav, 1.0, 300 + i, 16000);
      clips.push_back({{"wav", wav}, {"labels", "/m/a"}});
    }
    write_file_atomic(folder.path() / (name + ".json"), nlohmann::json{{"data", clips}}.dump());
  };
  const auto init = [&] {
    return exp_in(folder.path(),
                  "--quiet recipe init --force --data train.json --test test.json --labels "
                  "labels.csv -o mine.toml");
  };
  list("train", 0, 3);
  list("test", 0, 2);
  const Shell gone = init();
  EXPECT_EQ(gone.code, 3);
  EXPECT_EQ(gone.text,
            fmt::format("error: train.json: 5 of 5 listed files are not there, first: no file "
                        "{0}/train0.wav; relative paths start at {0}\n",
                        root));
  list("train", 3, 1);
  list("test", 2, 0);
  const Shell some = init();
  EXPECT_EQ(some.code, 0) << some.text;
  EXPECT_NE(some.text.find(fmt::format("train.json: 1 of 6 listed files are not there, first: no "
                                       "file {}/train3.wav",
                                       root)),
            std::string::npos)
      << some.text;

  for (const char* name : {"sounds/a", "sounds/b"})
    std::filesystem::create_directories(folder.path() / name);
  testing::write_wav(folder.path() / "sounds/a/1.wav", 0.5, 300, 16000);
  testing::write_wav(folder.path() / "sounds/b/2.wav", 0.5, 400, 16000);
  write_file_atomic(folder.path() / "sounds/a/3.txt", "");
  const Shell few = exp_in(folder.path(), "--quiet recipe init --force --data sounds -o few.toml");
  EXPECT_EQ(few.code, 3) << few.text;
  EXPECT_NE(few.text.find("sounds: left out by their ending: 1 .txt"), std::string::npos)
      << few.text;
  EXPECT_NE(few.text.find("both are needed: put the classes into sounds/train and sounds/test, or "
                          "give more clips"),
            std::string::npos)
      << few.text;
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
