// `exp data` as a user meets it, on computed sounds.
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/testing/put.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::put;
using testing::Shell;

constexpr const char* kSoundsRecipe = R"([experiment]
name = "sounds"
[dataset]
name = "synthetic"
clips = 50
clip_s = 1.0
val = "none"
[frontend]
frames = 96
[augment]
freq_mask_bins = 24
time_mask_frames = 24
wave_mix_p = 0.5
[model]
arch = "ast-nano"
fstride = 16
tstride = 16
[train]
epochs = 1
batch_size = 8
[optimiser]
kind = "adamw"
lr = 1e-3
[stages.train]
do = "train"
[variants.few]
dataset.clips = 50
)";

/// A workspace with the recipe above as sounds.toml.
class DataCommandIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
    std::ofstream(folder_ / "exp.toml") << "";
    std::ofstream(folder_ / "sounds.toml") << kSoundsRecipe;
  }
  Shell exp(const std::string& arguments) const {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 OMP_NUM_THREADS=1 {}/exp --quiet {}",
                                      folder_.path().string(), XP_BIN_DIR, arguments));
  }
  testing::TempDir folder_;
};

TEST_F(DataCommandIntegration, SaysHowToPrepareWhatIsNotThere) {
  const Shell result = exp("data stats sounds.toml");
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.text,
            "error: the data of stage 'train' is not prepared yet; do it with: exp run sounds.toml "
            "--until prepare\n");
  EXPECT_EQ(exp("data stats sounds.toml --set dataset.clips=60 --variant few --set "
                "'experiment.notes=two words'")
                .text,
            "error: the data of stage 'train' is not prepared yet; do it with: exp run sounds.toml "
            "--variant few --set dataset.clips=60 --set 'experiment.notes=two words' --until "
            "prepare\n");
}

TEST_F(DataCommandIntegration, OutputsInPlaceOfAFileAreOneError) {
  put(folder_ / "file", "");
  for (const char* command :
       {"data convert sounds.toml --out file/below", "data missing sounds.toml --out file/below",
        "data show sounds.toml --out file/below"}) {
    const Shell result = exp(command);
    EXPECT_EQ(result.code, 1) << command;
    EXPECT_EQ(result.text, "error: cannot make the folder file/below: Not a directory\n")
        << command;
  }
}

TEST_F(DataCommandIntegration, StatsVerifyShowAndConvert) {
  const Shell prepared = exp("run sounds.toml --until prepare");
  ASSERT_EQ(prepared.code, 0) << prepared.text;

  const Shell stats = exp("--json data stats sounds.toml --norm --ast-norm --classes");
  ASSERT_EQ(stats.code, 0) << stats.text;
  const auto told = nlohmann::json::parse(stats.text);
  EXPECT_EQ(told.at("train").at("clips"), 40);
  EXPECT_EQ(told.at("test").at("clips"), 10);
  EXPECT_EQ(told.at("train").at("class_clips").at("clicks"), 4);
  EXPECT_LT(told.at("norm").at("norm_mean"), 0);
  EXPECT_GT(told.at("ast_norm").at("norm_mean"), told.at("norm").at("norm_mean"));

  const Shell verified = exp("data verify sounds.toml");
  EXPECT_EQ(verified.code, 0) << verified.text;
  EXPECT_NE(verified.text.find(": 50 clips in 1 shards, 0 damaged\n"), std::string::npos)
      << verified.text;

  const Shell clip = exp("data show sounds.toml --clip synthetic-000007 --out pictures");
  EXPECT_EQ(clip.code, 0) << clip.text;
  EXPECT_TRUE(fs::exists(folder_ / "pictures/synthetic-000007.png"));
  EXPECT_TRUE(fs::exists(folder_ / "pictures/synthetic-000007.wav"));

  const Shell batch = exp("data show sounds.toml --batch --out batch");
  EXPECT_EQ(batch.code, 0) << batch.text;
  EXPECT_TRUE(
      batch.text.starts_with("batch 0 of epoch 0: waves [8, 16000], spectrograms [8, 128, 96]\n"))
      << batch.text;
  int files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_ / "batch")) ++files;
  EXPECT_EQ(files, 16);

  const Shell converted = exp("data convert sounds.toml --out ast");
  EXPECT_EQ(converted.code, 0) << converted.text;
  for (const char* name :
       {"train.json", "test.json", "train_weight.csv", "class_labels_indices.csv"}) {
    EXPECT_TRUE(fs::exists(folder_ / "ast" / name)) << name;
  }
}

TEST_F(DataCommandIntegration, VerifyNamesADamagedClip) {
  ASSERT_EQ(exp("run sounds.toml --until prepare").code, 0);
  fs::path shard;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / ".exp/cache")) {
    if (entry.path().extension() == ".h5") shard = entry.path();
  }
  ASSERT_FALSE(shard.empty());
  fs::permissions(shard, fs::perms::owner_write, fs::perm_options::add);
  std::fstream out(shard, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(-50, std::ios::end);
  out.put('\x55');
  out.close();
  const Shell result = exp(fmt::format("data verify --folder '{}'", shard.parent_path().string()));
  EXPECT_EQ(result.code, 3);
  EXPECT_NE(result.text.find("clip 'synthetic-000049' is damaged: its checksum differs"),
            std::string::npos)
      << result.text;
}

TEST_F(DataCommandIntegration, MissingListsWhatHasNoFileAndWritesListsWithoutIt) {
  const fs::path set = folder_ / "set";
  for (const char* sound : {"balanced_train/YAAAAAAAAAA1.wav", "balanced_train/BBBBBBBBBB2_30.flac",
                            "eval/-DDDDDDDDD4.ogg"})
    put(set / "audio" / sound, "");
  put(set / "class_labels_indices.csv", "index,mid,display_name\n0,/m/a,\"A, b\"\n1,/m/b,B\n");
  const std::string head =
      "# created\n# num\n# YTID, start_seconds, end_seconds, positive_labels\n";
  const std::string there = "AAAAAAAAAA1, 0.000, 10.000, \"/m/a\"\n";
  const std::string also_there = "BBBBBBBBBB2, 30.000, 40.000, \"/m/b\"\n";
  put(set / "balanced_train_segments.csv",
      head + there + "-BsentBsen3, 30.000, 40.000, \"/m/a,/m/b\"\n" + also_there);
  const std::string eval = "-DDDDDDDDD4, 0.000, 10.000, \"/m/b\"\n";
  put(set / "eval_segments.csv", head + eval + "EEEEEEEEEE5, 0.000, 10.000, \"/m/b\"\n");
  std::string recipe = kSoundsRecipe;
  const std::string synthetic = "name = \"synthetic\"\nclips = 50\nclip_s = 1.0\nval = \"none\"\n";
  recipe.replace(recipe.find(synthetic), synthetic.size(),
                 "name = \"audioset\"\nroot = \"set\"\nparts = [\"balanced_train\"]\n");
  put(folder_ / "audioset.toml", recipe);

  const std::string list =
      "id,split,reason\n"
      "-BsentBsen3,balanced_train,no sound file\n"
      "EEEEEEEEEE5,eval,no sound file\n";
  const std::string sum = "3 clips are there, 2 are missing; balanced_train: 1; eval: 1\n";
  const Shell told = exp("data missing audioset.toml");
  EXPECT_EQ(told.code, 0);
  EXPECT_EQ(told.text, list + sum);

  const Shell written = exp("data missing audioset.toml --out lists");
  EXPECT_EQ(written.code, 0);
  EXPECT_EQ(
      written.text,
      "lists/missing.csv\nlists/balanced_train_segments.csv\nlists/eval_segments.csv\n" + sum);
  EXPECT_EQ(read_file(folder_ / "lists/missing.csv"), list);
  EXPECT_EQ(read_file(folder_ / "lists/balanced_train_segments.csv"), head + there + also_there);
  EXPECT_EQ(read_file(folder_ / "lists/eval_segments.csv"), head + eval);

  const Shell told_json = exp("--json data missing audioset.toml --out lists");
  ASSERT_EQ(told_json.code, 0) << told_json.text;
  const auto json = nlohmann::json::parse(told_json.text);
  EXPECT_EQ(json.at("there"), 3);
  EXPECT_EQ(json.at("missing"), 2);
  EXPECT_EQ(json.at("by_split").at("eval"), 1);
  EXPECT_EQ(json.at("files").size(), 3U);
}

}  // namespace
}  // namespace xp::cli
