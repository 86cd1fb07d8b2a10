// Faults that the files which a recipe names show before anything runs: weights by their headers,
// splits by their folders.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/recipe/options_io.h"
#include "core/schema/check.h"
#include "core/schema/split_folders.h"
#include "core/schema/weights_header.h"
#include "tests/schema/recipe_files.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/put.h"

namespace xp::schema {
namespace {

namespace fs = std::filesystem;
using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

constexpr const char* kWithWeights = R"([dataset]
name = "synthetic"
[frontend]
frames = 128
[model]
arch = "ast-nano"
weights = "w.safetensors"
[optimiser]
lr = 1e-4
[stages.train]
do = "train"
)";

checkpoint::Archive archive_of(const Shapes& shapes) {
  checkpoint::Archive archive;
  for (const auto& [name, shape] : shapes) {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    const std::vector<float> values(static_cast<size_t>(count), 0);
    archive.add(name, checkpoint::Dtype::kF32, shape, std::as_bytes(std::span(values)));
  }
  return archive;
}

Shapes transformer(int64_t dim, int64_t depth) {
  return {{"module.v.cls_token", {1, 1, dim}},
          {fmt::format("module.v.blocks.{}.norm1.weight", depth - 1), {dim}}};
}

class WeightsOfARecipe : public ::testing::Test {
 protected:
  std::string fault(const checkpoint::Archive& archive, const std::vector<std::string>& sets = {}) {
    archive.write_safetensors(files_.folder() / "w.safetensors");
    return files_.fault_set(sets);
  }
  static std::string at_weights(const std::string& message) {
    return fmt::format("a.toml:7:11: stage train: {}\n  weights = \"w.safetensors\"\n            ^",
                       message);
  }

  RecipeFiles files_{kWithWeights};
};

TEST_F(WeightsOfARecipe, ThatFitOrAreNotThereAreNoFault) {
  EXPECT_EQ(files_.fault(), "");
  EXPECT_EQ(fault(archive_of(transformer(128, 4))), "");
  EXPECT_EQ(
      fault(archive_of({{"model.audio_spectrogram_transformer.embeddings.cls_token", {1, 1, 128}},
                        {"model.audio_spectrogram_transformer.encoder.layer.3.x", {2}}})),
      "");
}

TEST_F(WeightsOfARecipe, OfAnotherWidthDepthOrFamilyAreAFaultAtTheirPlace) {
  EXPECT_EQ(fault(archive_of(transformer(192, 4))),
            at_weights("weights w.safetensors do not fit: their tokens have 192 values, those of "
                       "ast-nano 128"));
  EXPECT_EQ(fault(archive_of(transformer(128, 12))),
            at_weights("weights w.safetensors do not fit: they have 12 blocks, ast-nano has 4; "
                       "model.strict = false takes what fits"));
  EXPECT_EQ(fault(archive_of(transformer(128, 12)), {"model.strict=false"}), "");
  EXPECT_EQ(fault(archive_of({{"features.0.0.weight", {16, 1, 3, 3}}})),
            at_weights("weights w.safetensors do not fit: they are of a CNN, ast-nano is a "
                       "transformer"));
  const Shapes mn10 = {{"features.0.0.weight", {16, 1, 3, 3}},
                       {"features.16.0.weight", {960, 160, 1, 1}}};
  for (const char* arch : {"mn10", "mn04"}) {
    const RecipeFiles files(fmt::format(
        "[dataset]\nname = \"synthetic\"\n[frontend]\nkind = \"augment_mel\"\n[model]\narch = "
        "\"{}\"\nweights = \"w.safetensors\"\n[optimiser]\nlr = 1e-4\n[stages.train]\ndo = "
        "\"train\"\n",
        arch));
    archive_of(mn10).write_safetensors(files.folder() / "w.safetensors");
    EXPECT_EQ(files.fault(), arch == std::string("mn10")
                                 ? ""
                                 : at_weights("weights w.safetensors do not fit: their last "
                                              "convolution has 160 channels, that of mn04 64"));
  }
}

TEST_F(WeightsOfARecipe, ThatAreNoneAreAFaultAtTheirPlace) {
  EXPECT_EQ(fault(archive_of({{"state.0.exp_avg", {2}}, {"state.0.exp_avg_sq", {2}}})),
            at_weights("model.weights: w.safetensors: it holds the state of an optimiser and no "
                       "weights"));
  EXPECT_EQ(fault(archive_of({{"mean", {2}}})),
            at_weights("model.weights: w.safetensors: none of its tensors has the name of a "
                       "network's"));
  std::ofstream(files_.folder() / "w.safetensors") << "index,mid,display_name\n";
  EXPECT_TRUE(
      files_.fault().starts_with("a.toml:7:11: stage train: model.weights: w.safetensors: "))
      << files_.fault();
}

TEST_F(WeightsOfARecipe, OfExpSayTheirFrontEndAndClasses) {
  checkpoint::Archive archive = archive_of(transformer(128, 4));
  FrontendOptions frontend;
  frontend.frames = 128;
  frontend.hop_samples = 80;
  const auto carry = [&](const std::string& classes) {
    archive.set_metadata("exp.carried",
                         fmt::format("{{\"frontend\": {}, \"classes\": {}}}",
                                     nlohmann::json(recipe::to_text(frontend)).dump(), classes));
  };
  carry(R"([{"id": "a", "name": "A"}])");
  EXPECT_NE(fault(archive).find("were trained with frontend.hop_samples = 80 (here 160)"),
            std::string::npos);
  EXPECT_EQ(fault(archive, {"model.frontend_mismatch=warn"}), "");
  frontend.hop_samples = 160;
  carry(R"([{"id": "a", "name": "A"}])");
  EXPECT_EQ(fault(archive), "");

  RecipeFiles scored(std::string(kWithWeights) +
                     "[stages.eval]\ndo = \"evaluate\"\ncheckpoint = \"c.safetensors\"\n");
  archive.write_safetensors(scored.folder() / "c.safetensors");
  EXPECT_NE(scored.fault().find("a.toml:14:14: stage eval: c.safetensors has 1 classes, the data "
                                "set 10"),
            std::string::npos)
      << scored.fault();
}

// Every checkpoint of the originals is read for what its case says it is.
TEST(WeightsHeaderParity, WidthAndBlocksAreThoseOfTheCases) {
  const auto cases = testing::find_cases(testing::fixtures_roots());
  if (cases.empty()) GTEST_SKIP() << "EXP_FIXTURES is unset";
  int64_t read = 0;
  for (const testing::CaseFolder& found : cases) {
    const auto json = nlohmann::json::parse(read_file(found.folder / "case.json"));
    if (!json.contains("weights") || !json.contains("embed_dim") || !json.contains("depth"))
      continue;
    for (const auto& name : json.at("weights")) {
      const fs::path file = found.folder / name.get<std::string>();
      if (!fs::is_regular_file(file)) continue;
      const checkpoint::Archive archive = checkpoint::Archive::open(file);
      const bool whole = std::any_of(
          archive.entries().begin(), archive.entries().end(),
          [](const checkpoint::Entry& entry) { return entry.name.ends_with("cls_token"); });
      if (!whole) continue;  // a head, the state of an optimiser
      const WeightsHeader header = read_weights_header(file);
      EXPECT_EQ(header.body, Body::kPatches) << file;
      EXPECT_EQ(header.dim, json.at("embed_dim").get<int64_t>()) << file;
      EXPECT_EQ(header.depth, json.at("depth").get<int64_t>()) << file;
      ++read;
    }
  }
  EXPECT_GT(read, 0);
  std::printf("%lld checkpoints of the cases\n", static_cast<long long>(read));
}

class SplitsOfARecipe : public ::testing::Test {
 protected:
  std::string fault(const std::string& set, const std::vector<std::string>& sets = {}) {
    const RecipeFiles files(fmt::format(
        "[dataset]\nname = \"{}\"\nroot = \"{}\"\ntrain = \"train\"\nval = \"val\"\n[model]\n"
        "arch = \"ast-nano\"\n[optimiser]\nlr = 1e-4\n[stages.train]\ndo = \"train\"\n",
        set, folder_.path().string()));
    return files.fault_set(sets);
  }
  void folders(std::initializer_list<const char*> names) {
    for (const char* name : names) fs::create_directories(folder_ / name);
  }

  testing::TempDir folder_;
};

TEST_F(SplitsOfARecipe, OfFoldersAreLookedFor) {
  EXPECT_EQ(fault("folder"), "") << "an empty root says nothing";
  folders({"train/dog", "test/dog"});
  EXPECT_EQ(fault("folder"),
            fmt::format("a.toml:5:7: stage train: dataset.val = \"val\": {} has no such split; it "
                        "has test, train\n  val = \"val\"\n        ^",
                        folder_.path().string()));
  EXPECT_EQ(fault("folder", {"dataset.val=none"}), "");
  EXPECT_EQ(fault("folder", {"dataset.val=test"}), "");
  folders({"dev/dog"});
  EXPECT_EQ(fault("folder"), "") << "dev plays val";
  folders({"cat"});
  EXPECT_EQ(fault("folder", {"dataset.val=gone"}), "") << "the listing says what is wrong there";
}

TEST_F(SplitsOfARecipe, OfClassesAloneAreThree) {
  folders({"dog", "cat"});
  EXPECT_EQ(fault("folder"), "");
  EXPECT_NE(fault("folder", {"dataset.val=dev"}).find("it has train, val, test"),
            std::string::npos);
}

TEST_F(SplitsOfARecipe, OfPartsAreThoseWithAList) {
  const std::vector<std::string> sets = {"dataset.parts=[\"balanced_train\"]", "dataset.val=eval"};
  for (const auto& [set, end] :
       {std::pair{"audioset", "_segments.csv"}, std::pair{"passt_hdf5", "_segments_mp3.hdf"}}) {
    SCOPED_TRACE(set);
    EXPECT_EQ(fault(set, sets), "") << "an empty root says nothing";
    const auto train = folder_ / (std::string("balanced_train") + end);
    xp::testing::put(train, "");
    EXPECT_NE(fault(set, sets).find("dataset.val = \"eval\": "), std::string::npos);
    EXPECT_NE(fault(set, sets).find("it has balanced_train, train"), std::string::npos);
    const auto eval = folder_ / (std::string("eval") + end);
    xp::testing::put(eval, "");
    EXPECT_EQ(fault(set, sets), "");
    fs::remove(train);
    EXPECT_NE(fault(set, sets).find("dataset.train = \"train\": "), std::string::npos);
    fs::remove(eval);
  }
}

TEST_F(SplitsOfARecipe, OfLibrispeechAreItsParts) {
  folders({"train-clean-100", "test-clean"});
  EXPECT_EQ(fault("librispeech", {"dataset.val=test-clean"}), "");
  EXPECT_NE(fault("librispeech").find("it has test, test-clean, train, train-clean-100"),
            std::string::npos);
}

}  // namespace
}  // namespace xp::schema
