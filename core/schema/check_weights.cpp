// Rules about weights, checkpoints and references between stages.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/check.h"
#include "core/schema/check_rules.h"
#include "core/schema/frontend_difference.h"
#include "core/schema/geometry.h"
#include "core/schema/weights.h"
#include "core/schema/weights_header.h"

namespace xp::schema {
namespace {

std::vector<std::string> weight_names() {
  std::vector<std::string> out;
  for (const PublishedWeights& weights : published_weights()) out.emplace_back(weights.name);
  return out;
}

std::string unknown_weights(const std::string& name) {
  const std::string near = nearest(name, weight_names());
  return fmt::format("there are no published weights '{}'{}", name,
                     near.empty() ? " (see `exp models --weights`; a file needs a '/' or an ending)"
                                  : fmt::format("; did you mean '{}'?", near));
}

/// Where the front end that published weights carry and [frontend] differ, nullopt when they agree.
/// AST's normalisation belongs to the data, PaSST's and EfficientAT's is the same for all.
std::optional<FrontendDifference> mismatch(const PublishedWeights& weights,
                                           const FrontendOptions& frontend) {
  recipe::View view;
  if (!carry_published(weights.name, view)) return std::nullopt;
  const auto theirs = view.build<FrontendOptions>();
  const auto difference = frontend_difference(theirs, frontend);
  if (difference || theirs.kind != FrontendKind::kAugmentMel) return difference;
  const auto fixed = [](const char* key, double there, const std::string& here) {
    return FrontendDifference{key, fmt::format("{}", there), here};
  };
  if (!frontend.norm.empty())
    return fixed("frontend.norm_mean", theirs.norm_mean, "that of frontend.norm");
  if (theirs.norm_mean != frontend.norm_mean)
    return fixed("frontend.norm_mean", theirs.norm_mean, fmt::format("{}", frontend.norm_mean));
  if (theirs.norm_std != frontend.norm_std)
    return fixed("frontend.norm_std", theirs.norm_std, fmt::format("{}", frontend.norm_std));
  return std::nullopt;
}

/// What of published weights [model] has no place for; "" when all fits.
std::string misfit(const PublishedWeights& weights, const ModelOptions& model,
                   const FrontendOptions& frontend) {
  recipe::View view;
  const Family family = model.resolved().family;
  // An ImageNet start of PaSST has one embedding for all positions, which fits any stride.
  if (family == Family::k_passt && carry_published(weights.name, view)) {
    const auto theirs = view.build<ModelOptions>();
    const int64_t there = patch_grid(theirs, {weights.mel_bins, weights.frames}).f;
    const int64_t here = patch_grid(model, {frontend.mel_bins, weights.frames}).f;
    if (here != there) {
      return fmt::format("{} rows of patches (model.fstride = {}; here {})", there, theirs.fstride,
                         here);
    }
    if (strides(model).t != strides(theirs).t)
      return fmt::format("model.tstride = {} (here {})", theirs.tstride, strides(model).t);
  }
  if (!is_cnn(family)) return "";
  // EfficientAT's ImageNet starts have the head of most of its models.
  const CnnHead head =
      carry_published(weights.name, view) ? view.build<ModelOptions>().cnn_head : CnnHead::kMlp;
  if (model.cnn_head == head) return "";
  return fmt::format("model.cnn_head = \"{}\" (here \"{}\")", recipe::enum_name(head),
                     recipe::enum_name(model.cnn_head));
}

std::string trained_otherwise(const std::string& weights, const FrontendDifference& difference) {
  return fmt::format(
      "weights {} were trained with {} = {} (here {}); model.frontend_mismatch = "
      "\"warn\" takes them all the same",
      weights, difference.key, difference.theirs, difference.ours);
}

/// What a file of weights holds; nullopt where it is not there (the plan says so) or none to be
/// looked into before it is used: a folder, an index of several files.
std::optional<WeightsHeader> header_of(const Rules& rules, std::string_view key,
                                       const std::string& file) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(file, none) || file.ends_with(".json")) return std::nullopt;
  try {
    return read_weights_header(file);
  } catch (const Error& error) {
    rules.fault({key}, fmt::format("{}: {}: {}", key, file, error.message()));
    return std::nullopt;
  }
}

void check_weights_file(const Rules& rules, const ModelOptions& model,
                        const FrontendOptions& frontend) {
  const auto header = header_of(rules, "model.weights", model.weights);
  if (!header) return;
  if (const std::string why = why_unfit(*header, model); !why.empty()) {
    rules.fault({"model.weights", "model.arch"},
                fmt::format("weights {} do not fit: {}", model.weights, why));
  }
  if (!header->frontend || model.frontend_mismatch != OnMismatch::kError) return;
  if (const auto difference = frontend_difference(*header->frontend, frontend))
    rules.fault({"model.weights"}, trained_otherwise(model.weights, *difference));
}

void check_checkpoint_file(const Rules& rules, const std::string& file, bool needs_classes,
                           std::optional<int64_t> wanted) {
  const auto header = header_of(rules, "checkpoint", file);
  if (!header || !needs_classes || !header->classes) return;
  if (*header->classes == 0) {
    rules.fault({"checkpoint"},
                fmt::format("{} was pretrained without labels and has no classifier", file));
  } else if (wanted && *header->classes != *wanted) {
    rules.fault({"checkpoint"},
                fmt::format("{} has {} classes, the data set {}", file, *header->classes, *wanted));
  }
}

void check_one_checkpoint(const Rules& rules, const std::string& text, bool needs_classes,
                          const DatasetOptions& dataset) {
  const auto wanted = known_classes(dataset);
  if (const auto reference = recipe::parse_reference(text)) {
    check_reference_kind(rules, "checkpoint", text,
                         needs_classes
                             ? std::initializer_list<std::string_view>{"train"}
                             : std::initializer_list<std::string_view>{"train", "pretrain"});
    const recipe::Stage* maker = rules.recipe().find_stage(reference->stage);
    if (maker == nullptr || !needs_classes || maker->kind != "train") return;
    const auto made = known_classes(maker->instances.front().view.build<DatasetOptions>());
    if (made && wanted && *made != *wanted) {
      rules.fault({"checkpoint"},
                  fmt::format("stage {} trains on {} classes, {} has {}", reference->stage, *made,
                              recipe::enum_name(dataset.name), *wanted));
    }
    return;
  }
  if (recipe::looks_like_path(text))
    return check_checkpoint_file(rules, text, needs_classes, wanted);
  const PublishedWeights* weights = find_weights(text);
  if (weights == nullptr) {
    rules.fault({"checkpoint"}, unknown_weights(text));
  } else if (weights->frontend == WeightsFrontend::kImage) {
    rules.fault(
        {"checkpoint"},
        fmt::format("{} was trained on images: it is a start for training (model.weights)", text));
  } else if (needs_classes && weights->classes == 0) {
    rules.fault({"checkpoint"},
                fmt::format("{} was pretrained without labels and has no classifier", text));
  } else if (needs_classes && wanted && weights->classes != *wanted) {
    rules.fault({"checkpoint"}, fmt::format("{} has {} classes, {} has {}", text, weights->classes,
                                            recipe::enum_name(dataset.name), *wanted));
  }
}

}  // namespace

void check_reference_kind(const Rules& rules, std::string_view key, const std::string& text,
                          std::initializer_list<std::string_view> kinds) {
  const auto reference = recipe::parse_reference(text);
  if (!reference) return;
  const recipe::Stage* stage = rules.recipe().find_stage(reference->stage);
  if (stage == nullptr) return;
  if (std::find(kinds.begin(), kinds.end(), stage->kind) == kinds.end()) {
    std::string list;
    for (const std::string_view kind : kinds)
      list += fmt::format("{}'{}'", list.empty() ? "" : " or ", kind);
    rules.fault({key}, fmt::format("{} needs a stage that does {}; {} does '{}'", key, list,
                                   stage->name, stage->kind));
    return;
  }
  if (reference->attribute != "average") return;
  const auto averaging = stage->instances.front().view.build<AveragingOptions>();
  if (averaging.kind == AveragingKind::kNone) {
    rules.fault({key}, fmt::format("stage {} makes no average: its averaging.kind is \"none\"",
                                   stage->name));
  }
}

void check_weights(const Rules& rules, const ModelOptions& model, const FrontendOptions& frontend) {
  const std::string& text = model.weights;
  if (text.empty() || text == "none") return;
  if (recipe::parse_reference(text)) {
    check_reference_kind(rules, "model.weights", text, {"train", "pretrain"});
    return;
  }
  if (recipe::looks_like_path(text)) return check_weights_file(rules, model, frontend);
  const PublishedWeights* weights = find_weights(text);
  if (weights == nullptr) {
    rules.fault({"model.weights"}, unknown_weights(text));
    return;
  }
  if (model.strict && std::string_view(weights->arch) != model.arch) {
    rules.fault(
        {"model.weights", "model.arch"},
        fmt::format("weights {} are of {}, model.arch is {}; model.strict = false takes what fits",
                    text, weights->arch, model.arch));
  } else if (model.strict && (model.dim > 0 || model.heads > 0)) {
    rules.fault(
        {"model.dim", "model.heads"},
        fmt::format("weights {} fit no other dim or heads than those of {}", text, model.arch));
  } else if (const std::string without = misfit(*weights, model, frontend);
             model.strict && !without.empty()) {
    rules.fault({"model.fstride", "model.tstride", "model.cnn_head", "model.weights"},
                fmt::format("weights {} are of {}", text, without));
  }
  const auto difference = mismatch(*weights, frontend);
  if (difference && model.frontend_mismatch == OnMismatch::kError) {
    rules.fault({"model.weights"}, trained_otherwise(text, *difference));
  }
}

void check_checkpoints(const Rules& rules, const recipe::Inputs& checkpoints, bool needs_classes,
                       const DatasetOptions& dataset) {
  for (const std::string& text : checkpoints.list)
    check_one_checkpoint(rules, text, needs_classes, dataset);
}

}  // namespace xp::schema
