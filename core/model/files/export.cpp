#include "core/model/files/export.h"

#include <map>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/files/archive_tensors.h"
#include "core/model/trunk.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using F = Form;
using Tensors = std::map<std::string, at::Tensor>;

[[noreturn]] void cannot(Original as, const std::string& why) {
  throw Error(fmt::format("this model cannot be written as {}: {}", original_name(as), why));
}

/// TorchOnlyAST's classes take these as arguments; those of all others are made for one value.
void check_blocks(const TrunkOptions& o, Original as) {
  const TrunkOptions theirs;
  const auto only = [&](const char* key, bool fits) {
    if (!fits) cannot(as, fmt::format("it was trained with a model.{} of its own", key));
  };
  only("special_tokens", o.special == theirs.special);
  only("norm_first", o.norm_first);
  only("activation", o.activation == theirs.activation);
  only("norm_eps", o.norm_eps == theirs.norm_eps);
  only("final_norm", o.final_norm);
  only("final_norm_eps", o.final_norm_eps == 0 || o.final_norm_eps == o.norm_eps);
  only("mlp_dim", o.hidden == 4 * o.dim);
}

void check_torchonly(const TrunkOptions& o) {
  constexpr Original kAs = Original::kTorchOnly;
  if (o.aggregator == Aggregator::kDist)
    cannot(kAs, "its HeadTokensAggregator counts tokens from the front and cannot take the second");
  if (o.head == Head::kLinear) cannot(kAs, "its MLPHead starts with a norm");
  if (o.head == Head::kNormLinear && o.head_norm_eps != TrunkOptions{}.head_norm_eps)
    cannot(kAs, "its MLPHead has no model.head_norm_eps of its own");
}

void check_form(const Trunk& trunk, Original as) {
  const TrunkOptions& o = trunk.options();
  if (as == Original::kTorchOnly) return check_torchonly(o);
  const bool separate = o.position == PositionKind::kSeparate;
  if (as == Original::kPasst && !separate)
    cannot(as, "it has one position embedding per patch; use \"ast\"");
  if ((as == Original::kAst || as == Original::kDeit) && separate) {
    cannot(as, "its position embedding is separate for time and frequency; use \"passt\"");
  }
  check_blocks(o, as);
  // timm's file has no classifier of ours.
  const bool classifies = as == Original::kAst || as == Original::kPasst;
  if (classifies && (o.head != Head::kNormLinear || o.aggregator != Aggregator::kClsDist)) {
    cannot(as, "its classifier is a norm and a linear layer on the mean of the two special tokens");
  }
  if (classifies && o.head_norm_eps != TrunkOptions{}.head_norm_eps)
    cannot(as, "its classifier has no model.head_norm_eps of its own");
}

/// Our tensor in the original's form.
at::Tensor stored_form(const Tensors& ours, const KeyRule& rule, const std::string& name) {
  const at::Tensor& t = ours.at(name);
  switch (rule.form) {
    case F::kToken:
      return t.reshape({-1});
    case F::kRows:
      return t.unsqueeze(0);
    case F::kGrid:
      return t.permute({2, 0, 1});
    case F::kAxis:
      return t.t();
    case F::kFreqAxis:
      return t.t().unsqueeze(0).unsqueeze(3);
    case F::kTimeAxis:
      return t.t().unsqueeze(0).unsqueeze(2);
    case F::kSequence: {
      const at::Tensor list = t.flatten(0, 1);
      const auto special = ours.find("pos.special");
      const at::Tensor rows =
          special != ours.end() ? special->second : at::zeros({2, list.size(1)}, list.options());
      return at::cat({rows, list}).unsqueeze(0);
    }
    default:
      return t;
  }
}

class Exporter {
 public:
  Exporter(const Model& model, Original as, const Geometry& input)
      : model_(model), as_(as), input_(input) {
    for (const NamedTensor& t : model.state()) ours_[t.name] = t.tensor.detach();
  }

  Archive run() {
    const at::NoGradGuard no_grad;
    const auto* const trunk = dynamic_cast<const Trunk*>(&model_);
    const bool cnn = as_ == Original::kMn || as_ == Original::kDymn;
    if (as_ != Original::kExp && cnn == (trunk != nullptr))
      cannot(as_, trunk != nullptr ? "it is a transformer" : "it is a CNN");
    if (trunk == nullptr || as_ == Original::kExp) return copy_names();
    check_form(*trunk, as_);
    prefix_ = as_ == Original::kAst ? "module." : "";
    if (as_ == Original::kTorchOnly) add_positions_to_tokens();
    for (const KeyRule& rule : key_rules(as_)) write(rule, trunk->options().depth);
    add_unused(trunk->options());
    if (as_ == Original::kTorchOnly) describe(trunk->options());
    return std::move(archive_);
  }

 private:
  Archive copy_names() {
    const char* const first = as_ == Original::kMn     ? "features.0.0.weight"
                              : as_ == Original::kDymn ? "in_c.0.weight"
                                                       : "";
    if (*first != '\0' && ours_.count(first) == 0) cannot(as_, "it is another CNN");
    for (const NamedTensor& t : model_.state()) {
      const bool own = t.name == "temperature";
      if (!own || as_ == Original::kExp) archive_.add(to_entry(t.name, t.tensor));
    }
    return std::move(archive_);
  }

  void add_positions_to_tokens() {
    const auto rows = ours_.find("pos.special");
    if (rows == ours_.end()) return;
    ours_["cls_token"] = ours_["cls_token"] + rows->second[0];
    if (rows->second.size(0) > 1) ours_["dist_token"] = ours_["dist_token"] + rows->second[1];
  }

  void write(const KeyRule& rule, int64_t depth) {
    const bool repeats = rule.ours.find('#') != rule.ours.npos;
    if (repeats) {
      // All of a block's tensors together, when its first rule comes.
      if (blocks_done_) return;
      blocks_done_ = true;
      for (int64_t i = 0; i < depth; ++i) {
        for (const KeyRule& each : key_rules(as_)) {
          if (each.ours.find('#') != each.ours.npos) write_one(each, std::to_string(i));
        }
      }
      return;
    }
    if (rule.form != F::kDead) write_one(rule, "");
  }

  void write_one(const KeyRule& rule, const std::string& index) {
    std::string ours(rule.ours);
    std::string theirs(rule.theirs);
    for (std::string* name : {&ours, &theirs}) {
      if (const auto hash = name->find('#'); hash != name->npos) name->replace(hash, 1, index);
    }
    if (ours_.count(ours) == 0) return;
    add(theirs, stored_form(ours_, rule, ours));
  }

  void add(const std::string& name, const at::Tensor& tensor) {
    archive_.add(to_entry(prefix_ + name, tensor));
  }

  void add_unused(const TrunkOptions& o) {
    constexpr int64_t kImageNet = 1000;
    const auto zeros = [&](const std::string& name, int64_t classes) {
      add(name + ".weight", at::zeros({classes, o.dim}));
      add(name + ".bias", at::zeros({classes}));
    };
    if (as_ == Original::kAst) {
      zeros("v.head", kImageNet);
      zeros("v.head_dist", kImageNet);
    }
    if (as_ == Original::kPasst) zeros("head_dist", o.classes);
  }

  void say(const std::string& key, const std::string& value) {
    archive_.set_metadata("resolved_config.model." + key, value);
  }
  void say(const std::string& key, const char* value) { say(key, std::string(value)); }
  void say(const std::string& key, bool value) { say(key, value ? "true" : "false"); }
  void say(const std::string& key, int64_t value) { say(key, std::to_string(value)); }
  void say(const std::string& key, double value) { say(key, fmt::format("{}", value)); }

  /// What TorchOnlyAST's build_from_pretrained makes the model of: each constructor's arguments.
  void describe(const TrunkOptions& o) {
    const bool separate = o.position == PositionKind::kSeparate;
    say("_target_",
        separate ? "torch_only_ast.models.passt.PaSST" : "torch_only_ast.models.ast.AST");
    describe_embedding(o, separate);
    describe_backbone(o);
    if (separate) {
      // What is dropped belongs to a training.
      say("dropout._target_", "torch_only_ast.modules.passt.StructuredPatchout");
      say("dropout.num_frequency_drops", int64_t{0});
      say("dropout.num_time_drops", int64_t{0});
    }
    if (o.aggregator == Aggregator::kNone) return;
    const bool mean = o.aggregator == Aggregator::kMean;
    const int64_t counted = !mean              ? (o.aggregator == Aggregator::kCls ? 1 : 2)
                            : o.mean_skips < 0 ? o.special
                                               : o.mean_skips;
    say("aggregator._target_", mean ? "torch_only_ast.models.ast.AverageAggregator"
                                    : "torch_only_ast.models.ast.HeadTokensAggregator");
    say("aggregator.insert_cls_token", counted > 0);
    say("aggregator.insert_dist_token", counted > 1);
    if (o.head == Head::kNone) return;
    say("head._target_", "torch_only_ast.models.ast.MLPHead");
    say("head.in_channels", o.dim);
    say("head.out_channels", o.classes);
  }

  void describe_embedding(const TrunkOptions& o, bool separate) {
    const std::string at = "embedding.";
    const auto extent = [](int64_t patches, int64_t patch, int64_t stride, int64_t length) {
      const bool fits = schema::patches_along(length, patch, stride) == patches;
      return fits ? length : patch + (patches - 1) * stride;
    };
    say(at + "_target_", separate
                             ? "torch_only_ast.modules.passt.DisentangledPositionalPatchEmbedding"
                             : "torch_only_ast.modules.vit.PositionalPatchEmbedding");
    say(at + "embedding_dim", o.dim);
    say(at + "kernel_size", fmt::format("[{},{}]", o.patch_f, o.patch_t));
    say(at + "stride", fmt::format("[{},{}]", o.stride_f, o.stride_t));
    say(at + "insert_cls_token", o.special > 0);
    say(at + "insert_dist_token", o.special > 1);
    say(at + "dropout", o.dropout);
    say(at + "n_bins", extent(o.grid.f, o.patch_f, o.stride_f, input_.F));
    say(at + "n_frames", extent(o.grid.t, o.patch_t, o.stride_t, input_.T));
  }

  void describe_backbone(const TrunkOptions& o) {
    say("backbone._target_", "torch.nn.TransformerEncoder");
    say("backbone.num_layers", o.depth);
    const std::string layer = "backbone.encoder_layer.";
    say(layer + "_target_", "torch.nn.TransformerEncoderLayer");
    say(layer + "d_model", o.dim);
    say(layer + "nhead", o.heads);
    say(layer + "dim_feedforward", o.hidden);
    say(layer + "dropout", o.dropout);
    say(layer + "activation", std::string(recipe::enum_name(o.activation)));
    say(layer + "layer_norm_eps", o.norm_eps);
    say(layer + "batch_first", true);
    say(layer + "norm_first", o.norm_first);
    if (!o.final_norm) return;
    say("backbone.norm._target_", "torch.nn.LayerNorm");
    say("backbone.norm.normalized_shape", o.dim);
    say("backbone.norm.eps", o.final_norm_eps > 0 ? o.final_norm_eps : o.norm_eps);
  }

  const Model& model_;
  Original as_;
  Geometry input_;
  Tensors ours_;
  std::string prefix_;
  bool blocks_done_ = false;
  Archive archive_;
};

}  // namespace

Archive export_weights(const Model& model, Original as, const Geometry& input) {
  return Exporter(model, as, input).run();
}

}  // namespace xp::model
