// exp predict says of a file what evaluate says of it, whatever the lengths of the others.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

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
using nlohmann::json;
using testing::Shell;

struct Listened {
  const char* name;
  const char* model;
  int tome_r;
};

class PredictAndEvaluateIntegration : public ::testing::TestWithParam<Listened> {
 protected:
  static constexpr double kLengths_s[] = {0.31, 1.2, 0.55, 0.31, 0.74, 0.9};

  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without LibTorch";
    int number = 0;
    for (const char* split : {"train", "test"}) {
      for (const double seconds : kLengths_s) {
        const fs::path file = folder_ / "set" / split / (number % 2 == 0 ? "even" : "odd") /
                              fmt::format("{}.wav", number);
        fs::create_directories(file.parent_path());
        // At twice the rate of the set, so that both resample.
        testing::write_wav(file, seconds, 200 + 150 * number, 32000);
        ++number;
      }
    }
    testing::put(
        folder_ / "recipe.toml",
        fmt::format(R"(
experiment = {{ name = "lengths", seed = 1 }}
dataset = {{ name = "folder", root = "set", val = "none" }}
frontend = {{ kind = "kaldi", rate_hz = 16000, frames = 0 }}
model = {{ {} }}
{}
train = {{ epochs = 3, batch_size = 4, loss = "ce" }}
optimiser = {{ kind = "adamw", lr = 1e-3 }}
eval = {{ metrics = ["acc"], batch_size = 8 }}
stages.train = {{ do = "train" }}
stages.eval = {{ do = "evaluate", checkpoint = "${{stages.train.last}}" }}
)",
                    GetParam().model,
                    GetParam().tome_r > 0 ? fmt::format("tome.r = {}", GetParam().tome_r) : ""));
  }
  Shell exp(const std::string& arguments) const {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 OMP_NUM_THREADS=1 {}/exp --quiet {}",
                                      folder_.path().string(), XP_BIN_DIR, arguments));
  }
  fs::path output(const char* kind, const char* file) const {
    for (const auto& entry : fs::directory_iterator(folder_ / ".exp/cache" / kind))
      if (fs::exists(entry.path() / file)) return entry.path() / file;
    ADD_FAILURE() << "no " << file;
    return {};
  }

  testing::TempDir folder_;
};

TEST_P(PredictAndEvaluateIntegration, AgreeOnClipsOfUnequalLength) {
  const Shell run = exp("run recipe.toml");
  ASSERT_EQ(run.code, 0) << run.text;
  const json evaluated = json::parse(read_file(output("evaluate", "worst.json")));
  ASSERT_EQ(evaluated.size(), std::size(kLengths_s));
  const std::string merging =
      GetParam().tome_r > 0 ? fmt::format(" --tome-r {}", GetParam().tome_r) : "";
  const Shell predicted = exp(fmt::format("--json predict {} set/test --top 2{} 2> log",
                                          output("train", "last.safetensors").string(), merging));
  ASSERT_EQ(predicted.code, 0) << predicted.text << read_file(folder_ / "log");
  std::map<std::pair<std::string, std::string>, double> probability;
  for (const json& sound : json::parse(predicted.text)) {
    ASSERT_EQ(sound.at("windows").size(), 1U);
    const std::string file = sound.at("file");
    for (const json& one : sound.at("windows").at(0).at("classes"))
      probability[{file.substr(file.find("test/") + 5), one.at("name")}] = one.at("p");
  }
  double worst = 0;
  std::map<std::string, std::pair<double, double>> range;  // of each class over the clips
  for (const json& clip : evaluated) {
    ASSERT_EQ(clip.at("guesses").size(), 2U);
    for (const json& guess : clip.at("guesses")) {
      const double p = guess.at("probability");
      const auto found = probability.find({clip.at("id"), guess.at("name")});
      ASSERT_NE(found, probability.end()) << clip;
      worst = std::max(worst, std::abs(found->second - p));
      const auto [at, fresh] = range.try_emplace(guess.at("name"), p, p);
      at->second = {std::min(at->second.first, p), std::max(at->second.second, p)};
    }
  }
  const auto [low, high] = range.begin()->second;
  fmt::print("{}: probabilities at most {:.2g} apart, {:.2g} over the clips\n", GetParam().name,
             worst, high - low);
  constexpr double kBound = 1e-6;
  EXPECT_LE(worst, kBound);
  EXPECT_GT(high - low, 20 * kBound) << "one answer to all clips would hide a difference";
}

INSTANTIATE_TEST_SUITE_P(
    All, PredictAndEvaluateIntegration,
    ::testing::Values(
        Listened{"transformer", R"(arch = "ast-nano", depth = 2, dim = 32, heads = 2)", 0},
        Listened{"merging", R"(arch = "ast-nano", depth = 3, dim = 32, heads = 2)", 6}),
    [](const auto& listened) { return std::string(listened.param.name); });

}  // namespace
}  // namespace xp::cli
