#include "core/model/export.h"

#include <map>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/archive_tensors.h"
#include "core/model/trunk.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using F = Form;
using Tensors = std::map<std::string, at::Tensor>;

[[noreturn]] void cannot(Original as, const std::string& why) {
  throw Error(fmt::format("this model cannot be written as {}: {}", original_name(as), why));
}

void check_form(const Trunk& trunk, Original as) {
  const TrunkOptions& o = trunk.options();
  const bool separate = o.position == PositionKind::kSeparate;
  if (as == Original::kPasst && !separate)
    cannot(as, "it has one position embedding per patch; use \"ast\"");
  if ((as == Original::kAst || as == Original::kDeit) && separate) {
    cannot(as, "its position embedding is separate for time and frequency; use \"passt\"");
  }
  // TorchOnlyAST's classes exist without a head too; timm's file has none of ours.
  const bool classifies = as == Original::kAst || as == Original::kPasst ||
                          (as == Original::kTorchOnly && o.head != Head::kNone);
  if (classifies && (o.head != Head::kNormLinear || o.aggregator != Aggregator::kClsDist)) {
    cannot(as, "its classifier is a norm and a linear layer on the mean of the two special tokens");
  }
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
  Exporter(const Model& model, Original as) : model_(model), as_(as) {
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
    ours_["dist_token"] = ours_["dist_token"] + rows->second[1];
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

  /// What TorchOnlyAST's build_from_pretrained reads to make the embedding.
  void describe(const TrunkOptions& o) {
    const std::string at = "resolved_config.model.embedding.";
    const auto extent = [](int64_t patches, int64_t patch, int64_t stride) {
      return patch + (patches - 1) * stride;
    };
    archive_.set_metadata(at + "embedding_dim", std::to_string(o.dim));
    archive_.set_metadata(at + "kernel_size", fmt::format("[{},{}]", o.patch_f, o.patch_t));
    archive_.set_metadata(at + "stride", fmt::format("[{},{}]", o.stride_f, o.stride_t));
    archive_.set_metadata(at + "n_bins", std::to_string(extent(o.grid.f, o.patch_f, o.stride_f)));
    archive_.set_metadata(at + "n_frames", std::to_string(extent(o.grid.t, o.patch_t, o.stride_t)));
  }

  const Model& model_;
  Original as_;
  Tensors ours_;
  std::string prefix_;
  bool blocks_done_ = false;
  Archive archive_;
};

}  // namespace

Archive export_weights(const Model& model, Original as) { return Exporter(model, as).run(); }

}  // namespace xp::model
