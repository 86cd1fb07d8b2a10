// docs/fidelity.md against the program: each key that it names is in the language, each refusal
// that it names is raised with the option's name.
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/checkpoint/archive.h"
#include "core/load/transformers_config.h"
#include "core/model/torchonly.h"
#include "core/recipe/language.h"
#include "core/recipe/recipe.h"
#include "core/schema/load.h"
#include "tests/testing/temp_dir.h"

namespace xp::load {
namespace {

struct OptionRow {
  std::string option, here;
};

std::vector<OptionRow> table_rows() {
  std::istringstream page(read_file(testing::source_dir() / "docs/fidelity.md"));
  std::vector<OptionRow> rows;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| ") || line.starts_with("| option |") || line.starts_with("| ---"))
      continue;
    const size_t end = line.find(" | ", 2);
    rows.push_back(
        {line.substr(2, end - 2), line.substr(end + 3, line.find(" | ", end + 3) - end - 3)});
  }
  return rows;
}

/// What stands in backquotes.
std::vector<std::string> quoted(const std::string& text) {
  static const std::regex pattern("`([^`]*)`");
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it)
    found.push_back((*it)[1]);
  return found;
}

/// A description of TorchOnlyAST that is honoured in all of its parts.
std::map<std::string, std::string> whole_config() {
  const std::string package = "torch_only_ast.";
  return {{"_target_", package + "models.passt.PaSST"},
          {"embedding._target_", package + "modules.passt.DisentangledPositionalPatchEmbedding"},
          {"embedding.embedding_dim", "32"},
          {"embedding.kernel_size", "16"},
          {"embedding.insert_cls_token", "true"},
          {"embedding.insert_dist_token", "true"},
          {"embedding.n_bins", "128"},
          {"embedding.n_frames", "200"},
          {"dropout._target_", package + "modules.passt.StructuredPatchout"},
          {"backbone._target_", "torch.nn.TransformerEncoder"},
          {"backbone.num_layers", "2"},
          {"backbone.norm._target_", "torch.nn.LayerNorm"},
          {"backbone.encoder_layer._target_", "torch.nn.TransformerEncoderLayer"},
          {"backbone.encoder_layer.d_model", "32"},
          {"backbone.encoder_layer.nhead", "4"},
          {"backbone.encoder_layer.batch_first", "true"},
          {"aggregator._target_", package + "models.ast.HeadTokensAggregator"},
          {"head._target_", package + "models.ast.MLPHead"},
          {"head.in_channels", "32"},
          {"head.out_channels", "7"}};
}

std::string config_error(const std::map<std::string, std::string>& config) {
  checkpoint::Archive archive;
  for (const auto& [key, value] : config)
    archive.set_metadata("resolved_config.model." + key, value);
  try {
    model::torchonly_config(archive, "file.pth");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// The error of a transformers folder whose config.json has the entry.
std::string transformers_error(const std::string& key, const std::string& value) {
  const testing::TempDir dir;
  nlohmann::json entry = nlohmann::json::parse(value, nullptr, false);
  if (entry.is_discarded()) entry = value;
  write_file_atomic(dir / "config.json", nlohmann::json{{key, entry}}.dump());
  checkpoint::Archive archive;
  const std::vector<std::byte> values(4);
  archive.add("audio_spectrogram_transformer.embeddings.cls_token", checkpoint::Dtype::kF32, {1},
              values);
  try {
    transformers_config(archive, dir / "model.safetensors");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// The error of a recipe that sets the key.
std::string key_error(const std::string& key) {
  const testing::TempDir dir;
  write_file_atomic(dir / "a.toml", "[stages.prepare]\ndo = \"prepare\"\n");
  recipe::LoadOptions options;
  options.overrides.push_back({key, "1"});
  try {
    schema::load_recipe(dir / "a.toml", options);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Fidelity, EveryOptionIsComputedByAKeyOrRefusedByItsName) {
  ASSERT_EQ(config_error(whole_config()), "");
  int keys = 0, refusals = 0;
  for (const OptionRow& row : table_rows()) {
    SCOPED_TRACE(row.option);
    const size_t refused = row.here.find("refused: ");
    const bool computed = row.here.starts_with("computed: ");
    ASSERT_TRUE(computed || refused == 0 || row.here == "nothing") << row.here;
    for (const std::string& key : quoted(row.here.substr(0, refused))) {
      if (key.find('.') == key.npos) continue;  // a value, beside its key
      EXPECT_NE(schema::language().find_key(key), nullptr) << key;
      ++keys;
    }
    if (refused == row.here.npos) continue;
    const auto texts = quoted(row.here.substr(refused));
    ASSERT_FALSE(texts.empty());
    for (const std::string& text : texts) {
      ++refusals;
      const size_t equals = text.find(" = ");
      constexpr std::string_view kTransformers = "config.json ";
      const bool transformers = text.starts_with(kTransformers);
      const std::string name = text.substr(transformers ? kTransformers.size() : 0,
                                           equals - (transformers ? kTransformers.size() : 0));
      std::string error;
      if (equals == text.npos) {
        error = key_error(text);
      } else if (transformers) {
        error = transformers_error(name, text.substr(equals + 3));
      } else {
        auto config = whole_config();
        config[name] = text.substr(equals + 3);
        error = config_error(config);
      }
      EXPECT_NE(error.find(name), error.npos) << text << ": " << error;
    }
  }
  EXPECT_GT(keys, 0);
  EXPECT_GT(refusals, 0);
  std::printf("%d keys, %d refusals\n", keys, refusals);
}

TEST(Fidelity, WhatAConfigLeavesOutIsItsConstructorsDefault) {
  checkpoint::Archive archive;
  for (const auto& [key, value] : whole_config())
    archive.set_metadata("resolved_config.model." + key, value);
  const auto config = model::torchonly_config(archive, "file.pth");
  ASSERT_TRUE(config.has_value());
  // PyTorch's layer: after the sum, ReLU, 2048 wide, epsilon 1e-5.
  EXPECT_FALSE(config->model.norm_first);
  EXPECT_EQ(config->model.activation, schema::MlpActivation::kRelu);
  EXPECT_EQ(config->model.mlp_dim, 2048);
  EXPECT_EQ(config->model.norm_eps, 1e-5);
  EXPECT_EQ(config->model.fstride, 16);
  EXPECT_EQ(config->input.T, 200);
}

}  // namespace
}  // namespace xp::load
