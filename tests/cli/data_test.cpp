// `exp data` as a user meets it, on computed sounds.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/testing/put.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

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

/// Clips above full scale, one that is in two splits, files that are no sound: said when the set is
/// prepared, in the report and in its statistics.
TEST_F(DataCommandIntegration, OddClipsAreSaid) {
  for (const char* name : {"set/train/a", "set/train/b", "set/test/a"})
    fs::create_directories(folder_ / name);
  for (int i = 0; i < 4; ++i) {
    testing::write_wav(folder_ / fmt::format("set/train/a/{}.wav", i), 1.0, 300 + i, 16000);
    testing::write_wav(folder_ / fmt::format("set/train/b/{}.wav", i), 1.0, 900 + i, 16000);
    testing::write_wav(folder_ / fmt::format("set/test/a/{}.wav", 4 + i), 1.0, 500 + i, 16000);
  }
  fs::copy(folder_ / "set/train/b/2.wav", folder_ / "set/test/a/copy.wav");
  put(folder_ / "set/train/a/voice.m4a", "");
  // Samples of 16 bits as floats above full scale.
  std::string loud = read_file(folder_ / "set/test/a/4.wav");
  const size_t sound = loud.find("data") + 8, format = loud.find("fmt ") + 8;
  std::string floats = loud.substr(0, sound);
  for (size_t at = sound; at + 1 < loud.size(); at += 2) {
    int16_t pcm = 0;
    std::memcpy(&pcm, loud.data() + at, 2);
    const float x = 16.0F * static_cast<float>(pcm) / 32768.0F;
    floats.append(reinterpret_cast<const char*>(&x), 4);
  }
  const auto set = [&](size_t at, uint32_t value, size_t bytes) {
    std::memcpy(floats.data() + at, &value, bytes);
  };
  set(4, static_cast<uint32_t>(floats.size() - 8), 4);
  set(format, 3, 2);              // IEEE floats
  set(format + 8, 16000 * 4, 4);  // bytes a second
  set(format + 12, 4, 2);         // bytes a sample
  set(format + 14, 32, 2);        // bits
  set(sound - 4, static_cast<uint32_t>(floats.size() - sound), 4);
  put(folder_ / "set/test/a/4.wav", floats);

  std::string recipe = kSoundsRecipe;
  const std::string synthetic = "name = \"synthetic\"\nclips = 50\nclip_s = 1.0\n";
  recipe.replace(recipe.find(synthetic), synthetic.size(), "name = \"folder\"\nroot = \"set\"\n");
  recipe.erase(recipe.find("[variants.few]"));
  recipe += "[stages.eval]\ndo = \"evaluate\"\ncheckpoint = \"${stages.train.last}\"\n";
  put(folder_ / "odd.toml", recipe);
  const Shell prepared = exp("run odd.toml --until prepare");
  ASSERT_EQ(prepared.code, 0) << prepared.text;
  EXPECT_NE(prepared.text.find("left out by their ending: 1 .m4a"), std::string::npos)
      << prepared.text;
  EXPECT_NE(prepared.text.find("1 of 13 clips go above full scale, by up to "), std::string::npos)
      << prepared.text;
  const Shell stats = exp("data stats odd.toml");
  EXPECT_NE(stats.text.find("test: 1 of 5 clips go above full scale, by up to "), std::string::npos)
      << stats.text;
  const std::string copies =
      "1 of 5 test clips are in train too, sample for sample (a/copy.wav = b/2.wav)";
  EXPECT_NE(stats.text.find(copies), std::string::npos) << stats.text;
  const auto told = nlohmann::json::parse(exp("--json data stats odd.toml").text);
  EXPECT_EQ(told.at("test").at("above_full_scale"), 1);
  EXPECT_GT(told.at("test").at("above_db"), 0);
  EXPECT_EQ(told.at("train").at("above_full_scale"), 0);
  EXPECT_EQ(told.at("warnings").size(), 1U);
  const Shell trained = exp("run odd.toml --set train.epochs=1");
  EXPECT_EQ(trained.code, 0) << trained.text;
  EXPECT_NE(trained.text.find(copies), std::string::npos) << trained.text;
  // What is predicted of the loud file is what its evaluation says.
  const auto output = [&](const char* kind, const char* file) {
    for (const auto& entry : fs::directory_iterator(folder_ / ".exp/cache" / kind)) {
      if (fs::exists(entry.path() / file)) return entry.path() / file;
    }
    return fs::path();
  };
  const auto predicted = nlohmann::json::parse(
      exp(fmt::format("--json predict {} set/test/a/4.wav --top 2 --softmax 2> log",
                      output("train", "last.safetensors").string()))
          .text);
  std::map<std::string, double> probability;
  for (const auto& one : predicted.at(0).at("windows").at(0).at("classes"))
    probability[one.at("name")] = one.at("p");
  int compared = 0;
  for (const auto& clip : nlohmann::json::parse(read_file(output("evaluate", "worst.json")))) {
    if (clip.at("id") != "a/4.wav") continue;
    for (const auto& guess : clip.at("guesses")) {
      EXPECT_NEAR(guess.at("probability"), probability.at(guess.at("name")), 1e-6);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 2);
  // A report beside the set makes nothing run again.
  put(folder_ / "set/report.html", "");
  EXPECT_NE(exp("recipe plan odd.toml").text.find("cached"), std::string::npos);
  EXPECT_EQ(exp("recipe plan odd.toml").text.find("will run"), std::string::npos);
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
