// Rules about weights, checkpoints and references between stages.
#include <algorithm>

#include <fmt/format.h>

#include "core/schema/check.h"
#include "core/schema/check_rules.h"
#include "core/schema/weights.h"

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

/// "kaldi at 16000 Hz" ... of published weights against [frontend]; "" when they agree.
std::string mismatch(const PublishedWeights& weights, const FrontendOptions& frontend) {
  if (weights.frontend == WeightsFrontend::kImage) return "";
  const bool mel = weights.frontend == WeightsFrontend::kMel;
  const FrontendKind kind = mel ? FrontendKind::kAugmentMel : FrontendKind::kKaldi;
  const int64_t rate = mel ? 32000 : 16000;
  if (frontend.kind != kind) {
    return fmt::format("kind {} (here {})", recipe::enum_name(kind),
                       recipe::enum_name(frontend.kind));
  }
  if (frontend.rate_hz != rate) return fmt::format("{} Hz (here {})", rate, frontend.rate_hz);
  if (frontend.mel_bins != weights.mel_bins)
    return fmt::format("{} mel bins (here {})", weights.mel_bins, frontend.mel_bins);
  if (frontend.hop_samples != weights.hop_samples) {
    return fmt::format("a hop of {} samples (here {})", weights.hop_samples, frontend.hop_samples);
  }
  return "";
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
  if (recipe::looks_like_path(text)) return;
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
  if (text.empty() || text == "none" ||
      (!recipe::parse_reference(text) && recipe::looks_like_path(text)))
    return;
  if (recipe::parse_reference(text)) {
    check_reference_kind(rules, "model.weights", text, {"train", "pretrain"});
    return;
  }
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
  }
  const std::string differs = mismatch(*weights, frontend);
  if (!differs.empty() && model.frontend_mismatch == OnMismatch::kError) {
    rules.fault(
        {"model.weights"},
        fmt::format("weights {} were trained on a frontend with {}; model.frontend_mismatch = "
                    "\"warn\" takes them all the same",
                    text, differs));
  }
}

void check_checkpoints(const Rules& rules, const recipe::Inputs& checkpoints, bool needs_classes,
                       const DatasetOptions& dataset) {
  for (const std::string& text : checkpoints.list)
    check_one_checkpoint(rules, text, needs_classes, dataset);
}

}  // namespace xp::schema
