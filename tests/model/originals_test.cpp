#include "tests/model/originals.h"

#include <algorithm>
#include <cstring>
#include <regex>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/checkpoint/archive.h"

namespace xp::model {
namespace {

std::string without(std::string name, const std::string& prefix) {
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

/// "blocks.3.": the blocks' names are timm's in all the originals but TorchOnlyAST.
bool is_block(const std::string& name) { return name.rfind("blocks.", 0) == 0; }

}  // namespace

Weights read_weights(const std::filesystem::path& file) {
  Weights weights;
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  // Of {"state_dict", "state_dict_ema"} the averaged copy is meant.
  const std::string copy = "state_dict_ema.";
  const bool averaged =
      std::any_of(archive.entries().begin(), archive.entries().end(),
                  [&](const checkpoint::Entry& e) { return e.name.starts_with(copy); });
  for (const checkpoint::Entry& entry : archive.entries()) {
    if (averaged && !entry.name.starts_with(copy)) continue;
    const bool integer = entry.dtype == checkpoint::Dtype::kI64;
    if (!integer && entry.dtype != checkpoint::Dtype::kF32) continue;
    at::Tensor tensor = at::empty(entry.shape, integer ? at::kLong : at::kFloat);
    std::memcpy(tensor.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
    weights[without(without(without(entry.name, copy), "model."), "module.")] = tensor;
  }
  return weights;
}

Weights from_ast(const Weights& weights, Grid grid) {
  Weights ours;
  for (const auto& [key, tensor] : weights) {
    const std::string name = without(key, "v.");
    if (is_block(name) || name.rfind("norm.", 0) == 0 || name.rfind("patch_embed.", 0) == 0 ||
        name == "cls_token" || name == "dist_token" || name == "mask_embed" ||
        name.rfind("cpredlayer.", 0) == 0 || name.rfind("gpredlayer.", 0) == 0) {
      ours[name] = tensor;
    } else if (name == "pos_embed") {
      ours["pos.special"] = tensor[0].narrow(0, 0, 2);
      ours["pos.grid"] = tensor[0].narrow(0, 2, grid.count()).view({grid.f, grid.t, -1});
    } else if (name.rfind("mlp_head.0.", 0) == 0) {
      ours["head.norm." + name.substr(11)] = tensor;
    } else if (name.rfind("mlp_head.1.", 0) == 0) {
      ours["head.linear." + name.substr(11)] = tensor;
    }
  }
  return ours;
}

Weights from_passt(const Weights& weights) {
  Weights ours;
  for (const auto& [name, tensor] : weights) {
    if (name == "new_pos_embed") {
      ours["pos.special"] = tensor[0];
    } else if (name == "freq_new_pos_embed") {
      ours["pos.freq"] = tensor.flatten(1)[0].t();
    } else if (name == "time_new_pos_embed") {
      ours["pos.time"] = tensor.flatten(1).view({tensor.size(1), -1}).t();
    } else if (name.rfind("head.0.", 0) == 0) {
      ours["head.norm." + name.substr(7)] = tensor;
    } else if (name.rfind("head.1.", 0) == 0) {
      ours["head.linear." + name.substr(7)] = tensor;
    } else {
      ours[name] = tensor;
    }
  }
  // [1, D, F, 1] -> [F, D]
  const at::Tensor freq = weights.at("freq_new_pos_embed");
  ours["pos.freq"] = freq.view({freq.size(1), freq.size(2)}).t();
  return ours;
}

Weights from_torchonly(const Weights& weights) {
  Weights ours;
  const std::vector<std::pair<std::regex, std::string>> table = {
      {std::regex("embedding\\.conv2d\\.(.*)"), "patch_embed.proj.$1"},
      {std::regex("embedding\\.(cls|dist)_token"), "$1_token"},
      {std::regex("backbone\\.norm\\.(.*)"), "norm.$1"},
      {std::regex("backbone\\.layers\\.(\\d+)\\.self_attn\\.in_proj_(.*)"),
       "blocks.$1.attn.qkv.$2"},
      {std::regex("backbone\\.layers\\.(\\d+)\\.self_attn\\.out_proj\\.(.*)"),
       "blocks.$1.attn.proj.$2"},
      {std::regex("backbone\\.layers\\.(\\d+)\\.linear1\\.(.*)"), "blocks.$1.mlp.fc1.$2"},
      {std::regex("backbone\\.layers\\.(\\d+)\\.linear2\\.(.*)"), "blocks.$1.mlp.fc2.$2"},
      {std::regex("backbone\\.layers\\.(\\d+)\\.(norm[12])\\.(.*)"), "blocks.$1.$2.$3"},
      {std::regex("head\\.(norm|linear)\\.(.*)"), "head.$1.$2"},
      {std::regex("masker\\.mask_embedding"), "mask_embed"},
      {std::regex("classifier\\.linear1\\.(.*)"), "cpredlayer.0.$1"},
      {std::regex("classifier\\.linear2\\.(.*)"), "cpredlayer.2.$1"},
      {std::regex("reconstructor\\.linear1\\.(.*)"), "gpredlayer.0.$1"},
      {std::regex("reconstructor\\.linear2\\.(.*)"), "gpredlayer.2.$1"},
  };
  for (const auto& [name, tensor] : weights) {
    if (name == "embedding.positional_embedding") ours["pos.grid"] = tensor.permute({1, 2, 0});
    if (name == "embedding.frequency_embedding") ours["pos.freq"] = tensor.t();
    if (name == "embedding.time_embedding") ours["pos.time"] = tensor.t();
    for (const auto& [pattern, to] : table) {
      if (std::regex_match(name, pattern)) ours[std::regex_replace(name, pattern, to)] = tensor;
    }
  }
  return ours;
}

TrunkOptions torchonly_options(const testing::Case& c, const Weights& weights) {
  const testing::Settings& j = c.json;
  TrunkOptions o;
  o.dim = j.at("embed_dim");
  o.depth = j.at("depth");
  o.heads = j.at("num_heads");
  o.hidden = j.at("dim_feedforward");
  o.patch_f = j.at("kernel").at(0);
  o.patch_t = j.at("kernel").at(1);
  o.stride_f = j.at("stride").at(0);
  o.stride_t = j.at("stride").at(1);
  o.special_position = false;
  o.special = static_cast<int64_t>(j.value("insert_cls_token", true)) +
              static_cast<int64_t>(j.value("insert_dist_token", true));
  o.norm_first = j.at("norm_first");
  o.activation = *recipe::parse_enum<schema::MlpActivation>(j.at("activation").get<std::string>());
  // "final_norm" has its own epsilon where the case says one.
  const testing::Settings eps = j.at("layernorm_eps");
  o.norm_eps = eps.at("backbone");
  o.final_norm_eps = eps.value("backbone.norm", 0.0);
  o.head_norm_eps = eps.value("head.norm", o.head_norm_eps);
  for (const std::string& key : eps.unread())
    throw std::runtime_error("unknown entry of layernorm_eps: " + key);
  o.final_norm = j.value("final_norm", true);
  if (weights.count("pos.grid") != 0) {
    o.grid = {weights.at("pos.grid").size(0), weights.at("pos.grid").size(1)};
  } else {
    o.position = PositionKind::kSeparate;
    o.grid = {weights.at("pos.freq").size(0), weights.at("pos.time").size(0)};
  }
  j.without_effect({"family"});  // the names of the tensors tell
  // Its aggregators count tokens from the front.
  const nlohmann::json kind = j.contains("aggregator") ? j.at("aggregator") : "head";
  const auto counts = j.value("aggregator_tokens", std::vector<bool>{true, true});
  const auto counted = std::count(counts.begin(), counts.end(), true);
  o.aggregator = kind.is_null()      ? Aggregator::kNone
                 : kind == "average" ? Aggregator::kMean
                 : counted > 1       ? Aggregator::kClsDist
                                     : Aggregator::kCls;
  if (o.aggregator == Aggregator::kMean) o.mean_skips = counted;
  o.classes = j.value("out_channels", int64_t{0});
  if (o.classes == 0) o.head = Head::kNone;
  return o;
}

at::Tensor last_output(const Output& out) {
  if (out.logits.defined()) return out.logits;
  return out.embedding.defined() ? out.embedding : out.tokens;
}

void load(Module& model, const Weights& weights) {
  const at::NoGradGuard no_grad;
  for (NamedTensor& entry : model.state()) {
    const auto found = weights.find(entry.name);
    if (found == weights.end()) throw std::runtime_error("no weights for " + entry.name);
    entry.tensor.copy_(found->second.reshape(entry.tensor.sizes()));
  }
}

}  // namespace xp::model
