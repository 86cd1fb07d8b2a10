// exp import, export, predict and embed on a small checkpoint of an original.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Shell;
using testing::write_wav;

/// A file of named float32 tensors as AST names them, of the architecture ast-nano with strides of
/// 10 on 128 x 128, with small values that are a function of the name.
class AstFile {
 public:
  explicit AstFile(int64_t classes) {
    constexpr int64_t kDim = 128;
    add("v.cls_token", {1, 1, kDim});
    add("v.dist_token", {1, 1, kDim});
    add("v.pos_embed", {1, 2 + 12 * 12, kDim});
    add("v.patch_embed.proj.weight", {kDim, 1, 16, 16});
    add("v.patch_embed.proj.bias", {kDim});
    for (int block = 0; block < 4; ++block) {
      const std::string at = fmt::format("v.blocks.{}.", block);
      norm(at + "norm1", kDim);
      linear(at + "attn.qkv", kDim, 3 * kDim);
      linear(at + "attn.proj", kDim, kDim);
      norm(at + "norm2", kDim);
      linear(at + "mlp.fc1", kDim, 4 * kDim);
      linear(at + "mlp.fc2", 4 * kDim, kDim);
    }
    norm("v.norm", kDim);
    norm("mlp_head.0", kDim);
    linear("mlp_head.1", kDim, classes);
  }

  void write(const fs::path& file) const {
    std::string header = header_.dump();
    header.append((8 - header.size() % 8) % 8, ' ');
    const auto length = static_cast<uint64_t>(header.size());
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), sizeof length);
    out << header;
    out.write(reinterpret_cast<const char*>(values_.data()),
              static_cast<std::streamsize>(values_.size() * sizeof(float)));
  }

 private:
  void add(const std::string& name, const std::vector<int64_t>& shape, float base = 0) {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    const size_t begin = values_.size() * sizeof(float);
    auto state = static_cast<uint32_t>(1 + header_.size());
    for (int64_t i = 0; i < count; ++i) {
      state = state * 1664525U + 1013904223U;
      values_.push_back(base + 0.1F * (static_cast<float>(state >> 8) / 16777216.0F - 0.5F));
    }
    header_["module." + name] = {{"dtype", "F32"},
                                 {"shape", shape},
                                 {"data_offsets", {begin, values_.size() * sizeof(float)}}};
  }
  void norm(const std::string& name, int64_t dim) {
    add(name + ".weight", {dim}, 1);
    add(name + ".bias", {dim});
  }
  void linear(const std::string& name, int64_t in, int64_t out) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }

  json header_ = json::object();
  std::vector<float> values_;
};

/// Runs a bundle's own check where a Python with torch and safetensors is (EXP_BENCH_PYTHON names
/// one).
void expect_checked(const fs::path& bundle) {
  const std::string_view set = testing::env("EXP_BENCH_PYTHON");
  const std::string python = set.empty() ? "python3" : std::string(set);
  if (testing::shell(python + " -c 'import torch, safetensors.torch'").code != 0)
    GTEST_SKIP() << "no Python with torch and safetensors";
  const Shell checked =
      testing::shell(fmt::format("{} '{}'", python, (bundle / "check.py").string()));
  EXPECT_EQ(checked.code, 0) << checked.text;
}

class ModelCommandsIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto root = testing::fixtures_root();
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without LibTorch";
    if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
    source_ = *root / "model/efficientat/mn04_as/mn04_as.pt";
    write_wav(dir_ / "tone.wav", 3, 440);
  }
  Shell exp(const std::string& arguments) const {
    return testing::shell(fmt::format("cd '{0}' && NO_COLOR=1 EXP_WEIGHTS='{0}/w' {1}/exp {2}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  }

  testing::TempDir dir_;
  fs::path source_;
};

TEST_F(ModelCommandsIntegration, ImportSaysAndWrites) {
  // Its published namesake has 527 classes; the file decides.
  const Shell result = exp(fmt::format("import {} --out mine.safetensors", source_.string()));
  ASSERT_EQ(result.code, 0) << result.text;
  EXPECT_NE(
      result.text.find(
          "mn04_as.pt: mn04, 0.724 M parameters, 20 classes, input 128 x 1000\nEfficientAT mn: "),
      std::string::npos)
      << result.text;
  EXPECT_NE(result.text.find("written: mine.safetensors\n"), std::string::npos);
  const Shell again = exp("--json import mine.safetensors");
  ASSERT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(json::parse(again.text).at("parameters"), 723508);
}

TEST_F(ModelCommandsIntegration, ExportedWeightsPredictTheSame) {
  const auto heard = [&](const std::string& checkpoint) {
    const Shell result = exp("--json predict " + checkpoint + " tone.wav --top 20");
    EXPECT_EQ(result.code, 0) << result.text;
    return json::parse(result.text).at(0).at("windows").at(0).at("classes");
  };
  const json first = heard(source_.string());
  ASSERT_EQ(first.size(), 20U);
  ASSERT_EQ(exp(fmt::format("export {} --as mn --out out.pt", source_.string())).code, 0);
  EXPECT_EQ(heard("out.pt --arch mn04"), first);
  ASSERT_EQ(exp(fmt::format("import {} --out mine.safetensors", source_.string())).code, 0);
  EXPECT_EQ(heard("mine.safetensors"), first);
}

TEST_F(ModelCommandsIntegration, PredictsOverTime) {
  const Shell result = exp(
      fmt::format("--json predict {} tone.wav --window-s 1 --hop-s 0.5 --top 2", source_.string()));
  ASSERT_EQ(result.code, 0) << result.text;
  const json windows = json::parse(result.text).at(0).at("windows");
  ASSERT_EQ(windows.size(), 6U);
  EXPECT_EQ(windows[5].at("start_s"), 2.5);
  EXPECT_EQ(windows[5].at("length_s"), 0.5);
}

TEST_F(ModelCommandsIntegration, EmbedsScenesAndTimestamps) {
  const Shell scenes = exp(
      fmt::format("-q --json embed tone.wav --checkpoint {} --content embed_only --out scenes.h5",
                  source_.string()));
  ASSERT_EQ(scenes.code, 0) << scenes.text;
  EXPECT_EQ(json::parse(scenes.text).at("width"), 384);
  const auto scene_file = testing::read_h5(dir_ / "scenes.h5");
  EXPECT_EQ(scene_file.at("embeddings").shape, (std::vector<int64_t>{1, 384}));
  const Shell times = exp(fmt::format(
      "-q --json embed tone.wav --checkpoint {} --timestamps --out times.h5", source_.string()));
  ASSERT_EQ(times.code, 0) << times.text;
  const auto time_file = testing::read_h5(dir_ / "times.h5");
  EXPECT_EQ(time_file.at("embeddings").shape, (std::vector<int64_t>{61, 404}));
  EXPECT_EQ(time_file.at("times_ms").values().back(), 3000);
}

TEST_F(ModelCommandsIntegration, ABundleStandsOnItsOwn) {
  const Shell result = exp(fmt::format("export {} --as bundle --out bundle", source_.string()));
  ASSERT_EQ(result.code, 0) << result.text;
  for (const char* name :
       {"model.safetensors", "recipe.toml", "labels.csv", "golden.safetensors", "check.py"}) {
    EXPECT_TRUE(fs::exists(dir_ / "bundle" / name)) << name;
  }
  EXPECT_EQ(exp("import bundle/model.safetensors").code, 0);
  const Shell again = exp(fmt::format("export {} --as bundle --out bundle", source_.string()));
  EXPECT_EQ(again.text, "error: bundle is there already\n");
  expect_checked(dir_ / "bundle");
}

// Every family and head that EfficientAT has; the head is found from the file's own keys.
TEST_F(ModelCommandsIntegration, BundlesOfEveryCnnCheckThemselves) {
  const std::map<std::string, std::string> arch_of = {{"mn01_fc", "mn01"},
                                                      {"mn01_attention", "mn01"},
                                                      {"dymn02", "dymn02"},
                                                      {"dymn01_replace_se", "dymn01-se"}};
  for (const auto& [name, arch] : arch_of) {
    SCOPED_TRACE(name);
    const fs::path file = *testing::fixtures_root() / "model/efficientat" / name / (name + ".pt");
    const Shell made =
        exp(fmt::format("export {} --as bundle --arch {} --out {}", file.string(), arch, name));
    ASSERT_EQ(made.code, 0) << made.text;
    expect_checked(dir_ / name);
  }
}

/// The same commands for a transformer: merging, its picture, and every form that can be written.
class TransformerCommandsIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without LibTorch";
    write_wav(dir_ / "tone.wav", 1.4, 440);
    AstFile(5).write(dir_ / "ast.safetensors");
  }
  Shell exp(const std::string& arguments) const {
    return testing::shell(fmt::format("cd '{0}' && NO_COLOR=1 EXP_WEIGHTS='{0}/w' {1}/exp {2}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  }
  json heard(const std::string& arguments) const {
    const Shell result = exp("--json predict " + arguments);
    EXPECT_EQ(result.code, 0) << result.text;
    if (result.code != 0) return {};
    return json::parse(result.text).at(0).at("windows").at(0).at("classes");
  }

  testing::TempDir dir_;
};

constexpr const char* kNano = " --arch ast-nano --frames 128";

TEST_F(TransformerCommandsIntegration, ImportReportsEveryTensor) {
  const Shell whole =
      exp(std::string("--json import ast.safetensors --out mine.safetensors") + kNano);
  ASSERT_EQ(whole.code, 0) << whole.text;
  const json report = json::parse(whole.text);
  EXPECT_EQ(report.at("family"), "AST");
  EXPECT_EQ(report.at("used"), 5 + 1 + 4 * 12 + 2 + 4);
  for (const char* list : {"fitted", "new", "missing", "unexpected", "of_no_use"})
    EXPECT_TRUE(report.at(list).empty()) << list << ": " << report.at(list);
  // Another input: the position embedding is stretched, and that is said.
  const Shell longer = exp("--json import ast.safetensors --arch ast-nano --frames 256");
  ASSERT_EQ(longer.code, 0) << longer.text;
  EXPECT_EQ(json::parse(longer.text).at("fitted").at("pos.grid"),
            "12x12 -> 12x25, time stretched, frequency kept");
  // Of another depth: an error, unless --loose.
  const Shell other = exp("import ast.safetensors --arch ast-tiny224 --frames 128");
  EXPECT_EQ(other.code, 3);
  EXPECT_EQ(
      other.text.rfind("error: ast.safetensors: AST weights do not fit the model: cls_token", 0),
      0U)
      << other.text;
}

TEST_F(TransformerCommandsIntegration, EveryFormPredictsTheSame) {
  const json first = heard(std::string("ast.safetensors tone.wav") + kNano);
  ASSERT_EQ(first.size(), 5U);
  EXPECT_GT(std::abs(first[0].at("p").get<double>() - first[4].at("p").get<double>()), 1e-4);
  for (const char* as : {"ast", "torchonly"}) {
    SCOPED_TRACE(as);
    const Shell written =
        exp(fmt::format("export ast.safetensors --as {0} --out {0}.pth{1}", as, kNano));
    ASSERT_EQ(written.code, 0) << written.text;
    const json again = heard(fmt::format("{}.pth tone.wav{}", as, kNano));
    ASSERT_EQ(again.size(), 5U);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(again[i].at("index"), first[i].at("index"));
      EXPECT_NEAR(again[i].at("p").get<double>(), first[i].at("p").get<double>(), 1e-5);
    }
  }
  EXPECT_EQ(exp(std::string("export ast.safetensors --as timm --out vit.pth") + kNano).code, 0);
  const Shell start = exp(std::string("--json import vit.pth") + kNano);
  ASSERT_EQ(start.code, 0) << start.text;
  EXPECT_EQ(json::parse(start.text).at("family"), "timm DeiT/ViT");
  EXPECT_EQ(exp(std::string("export ast.safetensors --as passt") + kNano).text,
            "error: this model cannot be written as PaSST: it has one position embedding per "
            "patch; use \"ast\"\n");
}

TEST_F(TransformerCommandsIntegration, MergingIsDrawn) {
  const Shell drawn =
      exp(std::string("predict ast.safetensors tone.wav --tome-r 12 --trace-merges merges.png") +
          kNano);
  ASSERT_EQ(drawn.code, 0) << drawn.text;
  const std::string png = read_file((dir_ / "merges.png").string());
  ASSERT_GT(png.size(), 1000U);
  EXPECT_EQ(png.substr(1, 3), "PNG");
  // Without merging every patch stands alone: another picture.
  EXPECT_EQ(
      exp(std::string("predict ast.safetensors tone.wav --trace-merges none.png") + kNano).text,
      "error: --trace-merges draws what --tome-r merged: give --tome-r too\n");
}

TEST_F(TransformerCommandsIntegration, TheBundleChecksItselfWithTorchAlone) {
  ASSERT_EQ(exp(std::string("export ast.safetensors --as bundle --out bundle") + kNano).code, 0);
  const std::string program = read_file((dir_ / "bundle/check.py").string());
  EXPECT_LE(std::count(program.begin(), program.end(), '\n'), 20);
  expect_checked(dir_ / "bundle");
}

TEST_F(ModelCommandsIntegration, SaysWhatIsMissing) {
  EXPECT_EQ(
      exp("predict nowhere.pt tone.wav").text,
      "error: 'nowhere.pt' is neither a file nor published weights (`exp models --weights`)\n");
  fs::copy_file(source_, dir_ / "unknown.pt");
  EXPECT_EQ(
      exp("predict unknown.pt tone.wav").text,
      "error: unknown.pt does not say its architecture: give --arch (`exp models` lists them)\n");
  EXPECT_EQ(exp("predict unknown.pt tone.wav --arch mn40").code, 3);
  const Shell absent = exp("predict mn10_as tone.wav");
  EXPECT_EQ(absent.code, 3);
  EXPECT_NE(absent.text.find("weights mn10_as are not here: run `exp fetch mn10_as`"),
            std::string::npos)
      << absent.text;
  EXPECT_EQ(exp(fmt::format("predict {} absent.wav", source_.string())).text,
            "error: absent.wav is not there\n");
  EXPECT_EQ(exp("predict unknown.pt").text,
            "error: give sound files or a folder; see `exp predict --help`\n");
  EXPECT_EQ(exp("embed tone.wav --module base2levl").text,
            "error: there is no module 'base2levl'; did you mean 'base2level'?\n");
}

}  // namespace
}  // namespace xp::cli
