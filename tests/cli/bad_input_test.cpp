// What people get wrong, through `exp run`: one message that says what, where and what to do, a
// documented exit code, nothing half-written, and a next call that goes on.
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Shell;
using testing::write_wav;

constexpr const char* kBadInputRecipe = R"([dataset]
name = "folder"
root = "sounds"
val = "none"
[frontend]
kind = "kaldi"
mel_bins = 32
frames = 64
[model]
arch = "ast-nano"
depth = 1
dim = 16
heads = 2
[train]
epochs = 1
batch_size = 2
[optimiser]
kind = "adam"
lr = 1e-3
[stages.train]
do = "train"
)";

class BadInputIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
    write("exp.toml", "");
    write("recipe.toml", kBadInputRecipe);
    for (const char* name : {"sounds/a", "sounds/b", "esc/audio", "esc/meta"})
      fs::create_directories(folder_ / name);
    write_wav(folder_ / "sounds/a/one.wav", 0.7, 440, 16000);
    write_wav(folder_ / "sounds/b/two.wav", 0.7, 880, 16000);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  /// kBadInputRecipe with one text for another.
  void write_changed(const std::string& name, const std::string& from, const std::string& to) {
    std::string text = kBadInputRecipe;
    text.replace(text.find(from), from.size(), to);
    write(name, text);
  }
  /// `exp --quiet run ...`, paths of the test's folder left out of what it says.
  Shell run(const std::string& arguments) const {
    const std::string root = fs::canonical(folder_.path()).string() + "/";
    Shell said =
        testing::shell(fmt::format("cd '{}' && NO_COLOR=1 OMP_NUM_THREADS=1 {}/exp --quiet run {}",
                                   folder_.path().string(), XP_BIN_DIR, arguments));
    for (size_t at = said.text.find(root); at != std::string::npos; at = said.text.find(root))
      said.text.erase(at, root.size());
    return said;
  }
  /// What is said from "stage prepare failed:" on: on stderr, after the table.
  static std::string failure(const Shell& said) {
    const size_t begin = said.text.find("error: stage prepare failed: ");
    return begin == std::string::npos ? said.text : said.text.substr(begin);
  }
  /// The bad clips of the finished shards.
  std::string report() const {
    for (const auto& entry : fs::directory_iterator(folder_ / ".exp/cache/prepare"))
      if (fs::exists(entry.path() / "manifest.json")) return read_file(entry.path() / "report.csv");
    return "";
  }

  testing::TempDir folder_;
};

TEST_F(BadInputIntegration, NoRecipe) {
  const Shell none = run("");
  EXPECT_EQ(none.text,
            "error: which recipe? `exp run RECIPE.toml`, or set default_recipe in exp.toml\n");
  EXPECT_EQ(none.code, 2);
  const Shell absent = run("absent.toml");
  EXPECT_EQ(absent.text, "error: cannot read absent.toml: No such file or directory\n");
  EXPECT_EQ(absent.code, 3);
}

TEST_F(BadInputIntegration, UnknownKeyAndWrongType) {
  write_changed("key.toml", "epochs = 1", "epoch = 1");
  const Shell key = run("key.toml");
  EXPECT_EQ(key.text,
            "error: key.toml:15:1: unknown key 'epoch' in [train]; did you mean 'epochs'?\n"
            "  epoch = 1\n"
            "  ^\n");
  EXPECT_EQ(key.code, 2);
  write_changed("type.toml", "epochs = 1", "epochs = \"one\"");
  const Shell type = run("type.toml");
  EXPECT_EQ(type.text,
            "error: type.toml:15:10: train.epochs: expected an integer in [1, 1000000], received "
            "a string \"one\"\n"
            "  epochs = \"one\"\n"
            "           ^\n");
  EXPECT_EQ(type.code, 2);
  EXPECT_FALSE(fs::exists(folder_ / ".exp/runs")) << "a recipe with faults leaves no run";
}

TEST_F(BadInputIntegration, MissingAudioFolder) {
  const Shell said = run("recipe.toml --set dataset.root=nowhere");
  EXPECT_EQ(said.text,
            "error: --set:1:1: dataset.root: nowhere is not there\n"
            "folder has to look like this:\n"
            "  ROOT/SPLIT/CLASS/*.wav                   SPLIT: train, val, test; or without "
            "splits:\n"
            "  ROOT/CLASS/*.wav                         80/10/10 % train/val/test by the hash of "
            "the name\n"
            "  dataset.root=nowhere\n"
            "  ^\n");
  EXPECT_EQ(said.code, 3);
}

TEST_F(BadInputIntegration, SoundsThatAreNoneAreNamedAndTheRestGoesOn) {
  write("sounds/a/empty.wav", "");
  write("sounds/a/text.wav", "not a sound");
  write_wav(folder_ / "sounds/b/wide.wav", 0.7, 440, 96000, 8);
  write("sounds/b/cut.wav", read_file(folder_ / "sounds/a/one.wav").substr(0, 30));

  const Shell strict = run("recipe.toml --set dataset.on_bad_clip=error");
  EXPECT_EQ(failure(strict),
            "error: stage prepare failed: clip 'a/empty.wav' (sounds/a/empty.wav): empty file\n"
            "with dataset.on_bad_clip = \"skip\" it would be left out\n");
  EXPECT_NE(strict.text.find("what is done is kept; the same command goes on from here\n"),
            std::string::npos)
      << strict.text;
  EXPECT_EQ(strict.code, 3);

  const Shell limited = run("recipe.toml");
  EXPECT_NE(limited.text.find("3 of 6 clips cannot be used (0 absent, 3 bad), more than "
                              "dataset.max_bad_p = 0.01 allows:\n  a/empty.wav: empty file\n"),
            std::string::npos)
      << limited.text;
  EXPECT_EQ(limited.code, 3);

  const Shell most = run("recipe.toml --set dataset.max_bad_p=1 --until prepare");
  EXPECT_NE(most.text.find("prepare: folder: 3 clips in 1 shards, 3 bad, 0 absent (report.csv)"),
            std::string::npos)
      << most.text;
  EXPECT_EQ(most.code, 0);
  for (const char* named : {"a/empty.wav", "a/text.wav", "b/cut.wav"})
    EXPECT_NE(report().find(named), std::string::npos) << report();
  EXPECT_EQ(report().find("b/wide.wav"), std::string::npos) << "96 kHz of 8 channels is a sound";

  for (const char* name : {"sounds/a/empty.wav", "sounds/a/text.wav", "sounds/b/cut.wav"})
    fs::remove(folder_ / name);
  EXPECT_EQ(run("recipe.toml --until prepare").code, 0) << "the next call goes on";
}

TEST_F(BadInputIntegration, CsvWithoutTheTargetColumn) {
  write("esc/meta/esc50.csv", "filename,fold,category\n1-1-A-0.wav,1,dog\n");
  const Shell said =
      run("recipe.toml --set dataset.name=esc50 --set dataset.root=esc --set frontend.frames=512");
  EXPECT_EQ(failure(said),
            "error: stage prepare failed: esc/meta/esc50.csv:1: no column 'target'; there are: "
            "filename, fold, category\n");
  EXPECT_EQ(said.code, 3);
}

}  // namespace
}  // namespace xp::cli
