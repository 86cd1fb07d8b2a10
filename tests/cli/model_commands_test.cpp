// exp import, export, predict and embed on a small checkpoint of an original.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>

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
  /// `without`: names that are left out; `broken`: one whose values are NaN.
  explicit AstFile(int64_t classes, std::set<std::string> without = {}, std::string broken = "")
      : without_(std::move(without)), broken_(std::move(broken)) {
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
    if (without_.contains(name)) return;
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    const size_t begin = values_.size() * sizeof(float);
    auto state = static_cast<uint32_t>(1 + header_.size());
    for (int64_t i = 0; i < count; ++i) {
      state = state * 1664525U + 1013904223U;
      values_.push_back(base + 0.1F * (static_cast<float>(state >> 8) / 16777216.0F - 0.5F));
    }
    if (name == broken_) values_.back() = std::numeric_limits<float>::quiet_NaN();
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

  std::set<std::string> without_;
  std::string broken_;
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
    const auto file = testing::fixture("model/efficientat/mn04_as/mn04_as.pt");
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without LibTorch";
    if (!file) GTEST_SKIP() << "EXP_FIXTURES is unset, or has no mn04 to try the commands on";
    source_ = *file;
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
    const Shell result = exp("--json predict " + checkpoint + " tone.wav --top 20 2>messages");
    EXPECT_EQ(result.code, 0) << read_file((dir_ / "messages").string());
    return json::parse(result.text).at(0).at("windows").at(0).at("classes");
  };
  const json first = heard(source_.string());
  ASSERT_EQ(first.size(), 20U);
  ASSERT_EQ(exp(fmt::format("export {} --as mn --out out.pt", source_.string())).code, 0);
  EXPECT_EQ(heard("out.pt --arch mn04"), first);
  // What no file of EfficientAT shows is said, with its keys, and can be said otherwise.
  EXPECT_EQ(read_file((dir_ / "messages").string()),
            "out.pt: the file does not show model.strides = [2, 2, 2, 2], model.dilated = false, "
            "frontend.mel_bins = 128: these are taken; --set KEY=VALUE says others\n");
  EXPECT_NE(heard("out.pt --arch mn04 --set model.dilated=true"), first);
  EXPECT_EQ(exp("predict out.pt tone.wav --arch mn04 --set model.dilation=2").text,
            "error: --set: unknown key 'model.dilation'; did you mean 'model.dilated'?\n");
  ASSERT_EQ(exp(fmt::format("import {} --out mine.safetensors", source_.string())).code, 0);
  EXPECT_EQ(heard("mine.safetensors"), first);
}

/// A copy of exp's checkpoint whose metadata names the loss of its training.
void copy_with_loss(const fs::path& from, const fs::path& to, const std::string& loss) {
  const std::string bytes = read_file(from);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  json header = json::parse(bytes.substr(sizeof length, length));
  json& text = header.at("__metadata__").at("exp.carried");
  json carried = json::parse(text.get<std::string>());
  carried["loss"] = loss;
  text = carried.dump();
  std::string changed = header.dump();
  changed.append((8 - changed.size() % 8) % 8, ' ');
  const uint64_t size = changed.size();
  write_file_atomic(to, std::string(reinterpret_cast<const char*>(&size), sizeof size) + changed +
                            bytes.substr(sizeof length + length));
}

TEST_F(ModelCommandsIntegration, ProbabilitiesAreThoseOfTheTraining) {
  ASSERT_EQ(exp(fmt::format("import {} --out mine.safetensors", source_.string())).code, 0);
  copy_with_loss(dir_ / "mine.safetensors", dir_ / "ce.safetensors", "ce");
  copy_with_loss(dir_ / "mine.safetensors", dir_ / "bce.safetensors", "bce");
  const auto heard = [&](const std::string& checkpoint) {
    const Shell result = exp("--json predict " + checkpoint + " tone.wav --top 20");
    EXPECT_EQ(result.code, 0) << result.text;
    return json::parse(result.text).at(0).at("windows").at(0).at("classes");
  };
  const json apart = heard("mine.safetensors"), together = heard("mine.safetensors --softmax");
  EXPECT_EQ(heard("bce.safetensors"), apart);
  EXPECT_EQ(heard("ce.safetensors"), together);
  double sum = 0;
  for (const json& one : together) sum += one.at("p").get<double>();
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_NE(apart, together);
  const std::string note = "does not say its loss";
  EXPECT_NE(exp("predict mine.safetensors tone.wav").text.find(note), std::string::npos);
  for (const char* known : {"ce.safetensors", "bce.safetensors", "mine.safetensors --softmax"})
    EXPECT_EQ(exp(fmt::format("predict {} tone.wav", known)).text.find(note), std::string::npos);
}

TEST_F(ModelCommandsIntegration, PredictsAWholeClipOnce) {
  const Shell result = exp(fmt::format("--json predict {} tone.wav --top 2", source_.string()));
  ASSERT_EQ(result.code, 0) << result.text;
  const json windows = json::parse(result.text).at(0).at("windows");
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(windows[0].at("length_s"), 3);
}

// The last window ends with the clip.
TEST_F(ModelCommandsIntegration, PredictsOverTime) {
  const Shell result = exp(fmt::format(
      "--json predict {} tone.wav --window-s 0.8 --hop-s 0.5 --top 2 --batch 4", source_.string()));
  ASSERT_EQ(result.code, 0) << result.text;
  const json windows = json::parse(result.text).at(0).at("windows");
  ASSERT_EQ(windows.size(), 6U);
  EXPECT_EQ(windows[4].at("start_s"), 2);
  EXPECT_EQ(windows[5].at("start_s"), 2.2);
  EXPECT_EQ(windows[5].at("length_s"), 0.8);
}

TEST_F(ModelCommandsIntegration, NothingIsUnheardInSilence) {
  write_wav(dir_ / "long.wav", 12, 440, 8000);
  const Shell whole = exp(fmt::format("predict {} long.wav", source_.string()));
  EXPECT_EQ(whole.code, 0);
  EXPECT_NE(whole.text.find("long.wav: first 10.00 of 12.00 s; --window-s hears all\n"),
            std::string::npos)
      << whole.text;
  const std::map<std::string, std::string> refused = {
      {"--window-s 11", "error: --window-s is 11, mn04_as.pt hears 10.00 s at once\n"},
      {"--window-s 1 --hop-s 2",
       "error: --hop-s is 2, more than --window-s 1: what lies between the windows would not be "
       "heard\n"},
      {"--window-s 0.001", "error: --window-s is 0.001: seconds from 0.05 to 3600\n"},
      {"--window-s nan",
       "error: --window-s: expected a number above 0, received 'nan'; see `exp predict --help`\n"},
  };
  for (const auto& [options, text] : refused) {
    const Shell result = exp(fmt::format("predict {} long.wav {}", source_.string(), options));
    EXPECT_EQ(result.code, 2) << options;
    EXPECT_EQ(result.text, text);
  }
}

TEST_F(ModelCommandsIntegration, OneBadSoundDoesNotEndTheOthers) {
  fs::create_directory(dir_ / "sounds");
  fs::copy_file(dir_ / "tone.wav", dir_ / "sounds/b.wav");
  for (const char* name : {"sounds/a.wav", "sounds/c.wav"})
    std::ofstream(dir_ / name) << "RIFF, but no sound";
  const Shell heard = exp(fmt::format("predict {} sounds", source_.string()));
  EXPECT_EQ(heard.code, 3);
  for (const char* text : {"sounds/b.wav\n", "error: sounds/a.wav: ", "error: sounds/c.wav: ",
                           "error: 2 of 3 sounds failed\n"})
    EXPECT_NE(heard.text.find(text), std::string::npos) << heard.text;
  const Shell embedded = exp(fmt::format(
      "-q embed sounds --checkpoint {} --content embed_only --out out.h5", source_.string()));
  EXPECT_EQ(embedded.code, 3);
  EXPECT_NE(embedded.text.find("out.h5: 1 clips, 1 rows of 384\n"), std::string::npos)
      << embedded.text;
  EXPECT_EQ(testing::read_h5(dir_ / "out.h5").at("embeddings").shape[0], 1);
}

TEST_F(ModelCommandsIntegration, StopsWhenAsked) {
  write_wav(dir_ / "long.wav", 600, 440, 8000);
  for (const std::string& command :
       {fmt::format("predict {} long.wav --window-s 0.5 --hop-s 0.01", source_.string()),
        fmt::format("embed long.wav --checkpoint {} --timestamps", source_.string())}) {
    const Shell stopped = testing::shell(fmt::format(
        "cd '{}' && OMP_NUM_THREADS=1 timeout --preserve-status -k 60 -s TERM 4 {}/exp -q {}",
        dir_.path().string(), XP_BIN_DIR, command));
    EXPECT_EQ(stopped.code, 75) << stopped.text;
  }
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
    const auto file = testing::fixture(fmt::format("model/efficientat/{0}/{0}.pt", name));
    if (!file) continue;
    const Shell made =
        exp(fmt::format("export {} --as bundle --arch {} --out {}", file->string(), arch, name));
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
    const Shell result = exp("--json predict " + arguments + " 2>messages");
    EXPECT_EQ(result.code, 0) << read_file((dir_ / "messages").string());
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
  const Shell longer =
      exp("--json import ast.safetensors --arch ast-nano --frames 256 --fstride 10 --tstride 10");
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
  const Shell timm = exp(std::string("export ast.safetensors --as timm --out vit.pth") + kNano);
  EXPECT_EQ(timm.code, 0);
  EXPECT_NE(timm.text.find("the classifier is not written"), std::string::npos) << timm.text;
  const Shell start = exp(std::string("--json import vit.pth") + kNano);
  ASSERT_EQ(start.code, 0) << start.text;
  EXPECT_EQ(json::parse(start.text).at("family"), "timm DeiT/ViT");
  EXPECT_EQ(exp(std::string("export ast.safetensors --as passt") + kNano).text,
            "error: this model cannot be written as PaSST: it has one position embedding per "
            "patch; use \"ast\"\n");
}

TEST_F(TransformerCommandsIntegration, SaysWhatWasFitted) {
  const Shell heard = exp(
      "predict ast.safetensors tone.wav --arch ast-nano --frames 256 --fstride 10 --tstride 10");
  EXPECT_EQ(heard.code, 0);
  EXPECT_NE(heard.text.find("ast.safetensors: AST: 60 tensors; pos.grid: 12x12 -> 12x25, time "
                            "stretched, frequency kept\n"),
            std::string::npos)
      << heard.text;
}

TEST_F(TransformerCommandsIntegration, OptionsWithoutEffectAreRefused) {
  ASSERT_EQ(exp(std::string("import ast.safetensors --out mine.safetensors") + kNano).code, 0);
  const std::map<std::string, std::string> refused = {
      {"mine.safetensors --arch ast-nano",
       "error: mine.safetensors says its architecture and strides itself: leave out --arch, "
       "--fstride and --tstride\n"},
      {"mine.safetensors --tstride 16",
       "error: mine.safetensors says its architecture and strides itself: leave out --arch, "
       "--fstride and --tstride\n"},
      {"ast.safetensors --fstride 16", "error: --fstride and --tstride go with --arch\n"},
      {"ast.safetensors --arch mn04 --fstride 16",
       "error: mn04 has no patches: --fstride and --tstride have no effect on it\n"},
  };
  for (const auto& [arguments, text] : refused) {
    const Shell result = exp("import " + arguments);
    EXPECT_EQ(result.code, 2) << arguments;
    EXPECT_EQ(result.text, text);
  }
  EXPECT_EQ(exp("import ast.safetensors --arch pool").text,
            "error: ast.safetensors: these are weights of AST, the model is neither a transformer "
            "nor a CNN\n");
}

TEST_F(TransformerCommandsIntegration, AnUntrainedClassifierSaysNothing) {
  AstFile(5, {"mlp_head.1.bias"}).write(dir_ / "half.safetensors");
  AstFile(5, {"mlp_head.1.weight", "mlp_head.1.bias"}).write(dir_ / "none.safetensors");
  const Shell half = exp(std::string("predict half.safetensors tone.wav") + kNano);
  EXPECT_EQ(half.code, 3);
  EXPECT_EQ(half.text.rfind("error: half.safetensors: it lacks 1 of the model's tensors: "
                            "head.linear.bias",
                            0),
            0U)
      << half.text;
  const std::string untrained =
      "error: half.safetensors has no trained classifier: its file lacks head.linear.bias\n";
  for (const char* command : {"predict half.safetensors tone.wav", "export half.safetensors",
                              "import half.safetensors --out out.safetensors"}) {
    const Shell loose = exp(std::string(command) + " --loose" + kNano);
    EXPECT_EQ(loose.code, 3) << command;
    EXPECT_NE(loose.text.find(untrained), std::string::npos) << loose.text;
  }
  const Shell none = exp(std::string("--json import none.safetensors") + kNano);
  ASSERT_EQ(none.code, 0) << none.text;
  EXPECT_EQ(json::parse(none.text).at("classes"), 0);
  EXPECT_NE(exp(std::string("predict none.safetensors tone.wav") + kNano)
                .text.find("none.safetensors has no classifier; `exp embed` gives its embeddings"),
            std::string::npos);
}

TEST_F(TransformerCommandsIntegration, OutputsAreNumbers) {
  AstFile(5, {}, "v.norm.bias").write(dir_ / "nan.safetensors");
  const std::string want =
      "error: tone.wav: nan.safetensors answers with NaN or infinity: its weights, or the sound, "
      "are damaged\n";
  for (const char* command :
       {"predict nan.safetensors tone.wav", "-q embed tone.wav --checkpoint nan.safetensors"}) {
    const Shell result = exp(std::string(command) + kNano);
    EXPECT_EQ(result.code, 3) << command;
    EXPECT_NE(result.text.find(want), std::string::npos) << result.text;
  }
  EXPECT_FALSE(fs::exists(dir_ / "embeddings.h5"));
}

// The model's positions end after 1.3 s: longer clips are embedded in windows of that.
TEST_F(TransformerCommandsIntegration, EmbedsTheWholeClip) {
  write_wav(dir_ / "long.wav", 4, 440);
  std::string half = read_file((dir_ / "long.wav").string());
  std::fill(half.begin() + static_cast<std::ptrdiff_t>(half.size() / 2), half.end(), '\0');
  std::ofstream(dir_ / "half.wav", std::ios::binary) << half;
  const Shell made = exp(std::string("-q embed long.wav half.wav --content embed_only --out out.h5 "
                                     "--checkpoint ast.safetensors") +
                         kNano);
  ASSERT_EQ(made.code, 0) << made.text;
  const std::vector<double> rows = testing::read_h5(dir_ / "out.h5").at("embeddings").values();
  ASSERT_EQ(rows.size(), 256U);
  EXPECT_FALSE(std::equal(rows.begin(), rows.begin() + 128, rows.begin() + 128));
}

TEST_F(TransformerCommandsIntegration, AModuleNeedsItsFrontEnd) {
  const Shell other =
      exp(std::string("embed tone.wav --module base --checkpoint ast.safetensors") + kNano);
  EXPECT_EQ(other.code, 2);
  EXPECT_EQ(other.text,
            "error: --module base is of a front end augment_mel at 32000 Hz with a hop of 320 and "
            "128 bins; ast.safetensors has kaldi at 16000 Hz with a hop of 160 and 128 bins\n");
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
  EXPECT_EQ(exp("predict mn10_sa tone.wav").text,
            "error: 'mn10_sa' is neither a file nor published weights; did you mean 'mn10_as'?\n");
  fs::copy_file(source_, dir_ / "unknown.pt");
  EXPECT_EQ(
      exp("predict unknown.pt tone.wav").text,
      "error: unknown.pt does not say its architecture: give --arch (`exp models` lists them)\n");
  EXPECT_EQ(exp("predict unknown.pt tone.wav --arch mn40").code, 3);
  EXPECT_EQ(exp("predict unknown.pt tone.wav --arch mn04 --tome-r 8").text,
            "error: --tome-r merges tokens, and mn04 has none\n");
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
