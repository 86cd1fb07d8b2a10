// Folders of transformers' AST: config.json says the model, whatever form the weights have; and
// every case of model/hf_ast.
#include "core/load/transformers_config.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/load/archive_io.h"
#include "core/load/open_model.h"
#include "core/model/trunk.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tensors.h"

namespace xp::load {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

json small_config() {
  return {{"model_type", "audio-spectrogram-transformer"},
          {"hidden_size", 16},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"intermediate_size", 24},
          {"hidden_act", "gelu"},
          {"layer_norm_eps", 1e-12},
          {"patch_size", 16},
          {"qkv_bias", true},
          {"frequency_stride", 12},
          {"time_stride", 14},
          {"max_length", 100},
          {"num_mel_bins", 64},
          {"id2label", {{"0", "dog"}, {"1", "rain, heavy"}, {"2", "éclair"}}}};
}

json small_input() {
  return {{"do_normalize", true}, {"feature_extractor_type", "ASTFeatureExtractor"},
          {"max_length", 100},    {"mean", -3.5},
          {"num_mel_bins", 64},   {"sampling_rate", 16000},
          {"std", 2.25},          {"padding_value", 0.0}};
}

/// Weights of small_config under transformers' names.
checkpoint::Archive small_weights() {
  at::manual_seed(7);
  checkpoint::Archive archive;
  const std::string top = "audio_spectrogram_transformer.";
  const auto layer = [&](const std::string& name, int64_t out, int64_t in) {
    add_tensor(archive, name + ".weight",
               in == 0 ? 1 + 0.1 * at::randn({out}) : at::randn({out, in}));
    add_tensor(archive, name + ".bias", 0.1 * at::randn({out}));
  };
  const int64_t patches = 5 * 7;  // (64 - 16) / 12 + 1, (100 - 16) / 14 + 1
  add_tensor(archive, top + "embeddings.cls_token", at::randn({1, 1, 16}));
  add_tensor(archive, top + "embeddings.distillation_token", at::randn({1, 1, 16}));
  add_tensor(archive, top + "embeddings.position_embeddings", at::randn({1, 2 + patches, 16}));
  add_tensor(archive, top + "embeddings.patch_embeddings.projection.weight",
             0.1 * at::randn({16, 1, 16, 16}));
  add_tensor(archive, top + "embeddings.patch_embeddings.projection.bias", at::randn({16}));
  for (const char* block : {"layers.0.", "layers.1."}) {
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"})
      layer(top + block + "attention." + part, 16, 16);
    layer(top + block + "layernorm_before", 16, 0);
    layer(top + block + "layernorm_after", 16, 0);
    layer(top + block + "mlp.fc1", 24, 16);
    layer(top + block + "mlp.fc2", 16, 24);
  }
  layer(top + "layernorm", 16, 0);
  layer("classifier.layernorm", 16, 0);
  layer("classifier.dense", 3, 16);
  return archive;
}

void write_folder(const fs::path& folder, const json& config, const json& input = small_input()) {
  testing::put(folder / "config.json", config.dump());
  testing::put(folder / "preprocessor_config.json", input.dump());
  small_weights().write_safetensors(folder / "model.safetensors");
}

at::Tensor logits_of(const OpenModel& open) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  return open.model
      ->forward(model::Input::whole(at::randn({2, open.geometry.F, open.geometry.T})), {})
      .logits;
}

std::string error_of(const fs::path& folder) {
  try {
    open_model(folder.string(), {});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    return error.message();
  }
  return "";
}

TEST(TransformersConfig, SaysTheWholeModel) {
  const testing::TempDir dir;
  write_folder(dir / "hf", small_config());
  const OpenModel open = open_model((dir / "hf").string() + "/", {});
  EXPECT_EQ(open.name, "hf");
  EXPECT_TRUE(open.report.exact()) << open.report.line();
  EXPECT_TRUE(open.folder.empty());
  const auto& trunk = dynamic_cast<const model::Trunk&>(*open.model).options();
  EXPECT_EQ(trunk.dim, 16);
  EXPECT_EQ(trunk.depth, 2);
  EXPECT_EQ(trunk.heads, 2);
  EXPECT_EQ(trunk.hidden, 24);
  EXPECT_EQ(trunk.norm_eps, 1e-12);
  EXPECT_EQ(trunk.head_norm_eps, 1e-12);
  EXPECT_EQ(trunk.stride_f, 12);
  EXPECT_EQ(trunk.stride_t, 14);
  EXPECT_EQ(trunk.grid, (schema::Grid{5, 7}));
  EXPECT_EQ(open.geometry.F, 64);
  EXPECT_EQ(open.geometry.T, 100);
  EXPECT_EQ(open.frontend.norm_mean, -3.5);
  EXPECT_EQ(open.frontend.norm_std, 2.25);
  std::vector<std::string> names;
  for (const auto& [id, name] : open.classes) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"dog", "rain, heavy", "éclair"}));
}

TEST(TransformersConfig, EveryFormOfTheWeightsIsTheSame) {
  const testing::TempDir dir;
  write_folder(dir / "whole", small_config());
  const at::Tensor want = logits_of(open_model((dir / "whole").string(), {}));
  const checkpoint::Archive weights = small_weights();

  write_folder(dir / "torch", small_config());
  fs::remove(dir / "torch/model.safetensors");
  weights.write_torch(dir / "torch/pytorch_model.bin");
  EXPECT_TRUE(at::equal(logits_of(open_model((dir / "torch").string(), {})), want));

  write_folder(dir / "shards", small_config());
  fs::remove(dir / "shards/model.safetensors");
  json map = json::object();
  checkpoint::Archive halves[2];
  for (size_t i = 0; i < weights.entries().size(); ++i) {
    halves[i % 2].add(weights.entries()[i]);
    map[weights.entries()[i].name] = i % 2 == 0 ? "a.safetensors" : "b.safetensors";
  }
  halves[0].write_safetensors(dir / "shards/a.safetensors");
  halves[1].write_safetensors(dir / "shards/b.safetensors");
  testing::put(dir / "shards/model.safetensors.index.json", json{{"weight_map", map}}.dump());
  for (const char* what :
       {"shards", "shards/model.safetensors.index.json", "whole/model.safetensors"}) {
    EXPECT_TRUE(at::equal(logits_of(open_model((dir / what).string(), {})), want)) << what;
  }
}

TEST(TransformersConfig, ActivationAndEpsilonCount) {
  const testing::TempDir dir;
  write_folder(dir / "hf", small_config());
  const at::Tensor plain = logits_of(open_model((dir / "hf").string(), {}));
  for (const auto& [key, value] :
       std::map<std::string, json>{{"hidden_act", "relu"}, {"layer_norm_eps", 0.5}}) {
    json config = small_config();
    config[key] = value;
    write_folder(dir / "other", config);
    const at::Tensor other = logits_of(open_model((dir / "other").string(), {}));
    EXPECT_GT((other - plain).abs().max().item<double>(), 1e-3) << key;
  }
}

TEST(TransformersConfig, WhatIsNotComputedIsNamed) {
  const testing::TempDir dir;
  const auto error = [&](const std::string& key, const json& value) {
    json config = small_config();
    config[key] = value;
    write_folder(dir / "hf", config);
    return error_of(dir / "hf");
  };
  EXPECT_EQ(error("hidden_act", "quick_gelu"),
            "hidden_act = quick_gelu is not computed here: gelu and relu are");
  EXPECT_EQ(error("qkv_bias", false),
            "qkv_bias = false is not computed here: queries, keys and values have a bias");
  EXPECT_EQ(error("model_type", "vit"), "model_type is vit, not audio-spectrogram-transformer");
  EXPECT_EQ(error("hidden_size", "16"), "hidden_size is \"16\": a whole number from 1 to 8192");
  EXPECT_EQ(error("layer_norm_eps", -1), "layer_norm_eps is -1: a number above 0");
  EXPECT_EQ(error("id2label", {{"0", "dog"}}), "id2label has 1 labels, the classifier 3 classes");
  EXPECT_TRUE(
      error("frequency_stride", 16).starts_with("its position embedding has 35 patches, not 4 x 7"))
      << error("frequency_stride", 16);
  json input = small_input();
  input["max_length"] = 1024;
  write_folder(dir / "hf", small_config(), input);
  EXPECT_EQ(error_of(dir / "hf"), "max_length is 1024, in config.json 100");
}

TEST(TransformersConfig, AFolderOfAnythingElseSaysSo) {
  const testing::TempDir dir;
  testing::put(dir / "hf/config.json", small_config().dump());
  EXPECT_EQ(error_of(dir / "hf"),
            "a folder without a checkpoint: neither last.safetensors of exp nor model.safetensors, "
            "pytorch_model.bin or an index of shards is in it; give the file itself");
}

/// What a case's config.json has that no option of ours computes; "" for none.
std::string not_computed(const json& config) {
  const std::string act = config.value("hidden_act", "gelu");
  if (act != "gelu" && act != "relu") return "hidden_act";
  return config.value("qkv_bias", true) ? "" : "qkv_bias";
}

void hf_ast(const testing::Case& c, testing::Report& report) {
  const fs::path folder = c.folder / c.json.at("folder").get<std::string>();
  const std::string refused = not_computed(c.json.at("config"));
  c.json.without_effect({"weights", "keys", "patches"});
  try {
    const OpenModel open = open_model(folder.string(), {});
    if (!refused.empty()) return report.fail(refused + ": loads");
    const auto& grid = dynamic_cast<const model::Trunk&>(*open.model).options().grid;
    report.compare_value("f_dim", static_cast<double>(grid.f), c.json.at("f_dim"));
    report.compare_value("t_dim", static_cast<double>(grid.t), c.json.at("t_dim"));
    const std::vector<std::string> labels = c.json.at("labels");
    report.compare_value("labels", static_cast<double>(open.classes.size()),
                         static_cast<double>(labels.size()));
    for (size_t k = 0; k < std::min(labels.size(), open.classes.size()); ++k)
      report.compare_text("label", open.classes[k].second, labels[k]);
    report.every_setting();
    const at::NoGradGuard no_grad;
    const at::Tensor mel = testing::tensor_of(c.at("input/mel")).transpose(1, 2);
    report.compare("output/logits",
                   testing::floats_of(open.model->forward(model::Input::whole(mel), {}).logits));
  } catch (const Error& error) {
    if (refused.empty()) throw;
    report.refused(error.what(), {refused});
  }
}

TEST(TransformersConfigParity, EveryFolder) {
  at::set_num_threads(1);
  testing::expect_parity({"model/hf_ast"}, {{"model/hf_ast", hf_ast}});
}

TEST(TransformersConfigParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed({{"model/hf_ast", hf_ast}});
}

}  // namespace
}  // namespace xp::load
