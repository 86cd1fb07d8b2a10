// A data set that nobody has read, as a user meets it: plans, a kill in the middle, a sweep.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Shell;

class FirstReadingIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
    // More than is read at once: six files of 12.8 MB.
    for (const char* clip :
         {"train/a/0", "train/a/1", "train/b/0", "train/b/1", "test/a/0", "test/b/0"}) {
      const fs::path file = folder_ / "set" / (std::string(clip) + ".wav");
      fs::create_directories(file.parent_path());
      testing::write_wav(file, 400, 200, 16000);
    }
    std::ofstream(folder_ / "recipe.toml")
        << "experiment.name = \"first\"\ndataset = { name = \"folder\", val = \"none\", root = \""
        << (folder_ / "set").string() << "\" }\n"
        << "frontend = { kind = \"kaldi\", mel_bins = 32, frames = 64 }\n"
        << "stages.levels = { do = \"stats\" }\n";
  }
  Shell exp(const std::string& workspace, const std::string& arguments,
            const std::string& variables = "") const {
    fs::create_directories(folder_ / workspace);
    std::ofstream(folder_ / workspace / "exp.toml") << "runtime.threads = 1\n";
    return testing::shell(fmt::format("cd '{}' && exec env NO_COLOR=1 {} {}/exp {}",
                                      (folder_ / workspace).string(), variables, XP_BIN_DIR,
                                      arguments));
  }
  /// The step of the plan for `prepare`.
  json prepared(const std::string& workspace) const {
    const Shell plan = exp(workspace, "--quiet --json recipe plan ../recipe.toml 2> /dev/null");
    EXPECT_EQ(plan.code, 0) << plan.text;
    return json::parse(plan.text).at(0);
  }
  static json files_of(const json& step) {
    return json::parse(read_file(fs::path(step["folder"].get<std::string>()) / "manifest.json"))
        .at("files");
  }

  testing::TempDir folder_;
};

TEST_F(FirstReadingIntegration, KilledItGoesOnToWhatDigestsFirstWouldHaveMade) {
  const Shell plan = exp("once", "recipe plan ../recipe.toml");
  EXPECT_EQ(plan.code, 0) << plan.text;
  EXPECT_NE(plan.text.find("6 files (0.1 GB) were not read yet: they are while they are decoded"),
            std::string::npos)
      << plan.text;
  EXPECT_NE(plan.text.find("its key is known when its inputs' are"), std::string::npos);
  EXPECT_EQ(prepared("once")["key"], "");

  const Shell killed = exp("once", "run ../recipe.toml", "EXP_REHEARSE_STOP=prepare:3:KILL");
  EXPECT_EQ(killed.code, 137) << killed.text;
  EXPECT_EQ(prepared("once")["state"], "resumes");
  const Shell done = exp("once", "run ../recipe.toml");
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_NE(done.text.find("attempt 2"), std::string::npos) << done.text;
  EXPECT_NE(done.text.find("prepare  done"), std::string::npos) << done.text;
  const json once = prepared("once");
  EXPECT_EQ(once["state"], "cached");

  // A dry sweep numbers its trials, for which it reads the set.
  const Shell dry = exp("twice", "sweep ../recipe.toml --param frontend.mel_bins=32,40 --dry-run");
  EXPECT_EQ(dry.code, 0) << dry.text;
  EXPECT_EQ(exp("twice", "run ../recipe.toml").code, 0);
  const json twice = prepared("twice");
  EXPECT_EQ(once["key"], twice["key"]);
  EXPECT_EQ(files_of(once), files_of(twice));
}

TEST_F(FirstReadingIntegration, ASweepPreparesFirst) {
  const Shell swept = exp("swept", "sweep ../recipe.toml --param frontend.mel_bins=32,40");
  EXPECT_EQ(swept.code, 0) << swept.text;
  EXPECT_NE(swept.text.find("it is prepared first, by a run of its own"), std::string::npos)
      << swept.text;
  EXPECT_EQ(prepared("swept")["state"], "cached");
  const Shell again = exp("swept", "sweep ../recipe.toml --param frontend.mel_bins=32,40,48");
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(again.text.find("it is prepared first"), std::string::npos) << again.text;
}

}  // namespace
}  // namespace xp::cli
