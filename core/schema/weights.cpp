#include "core/schema/weights.h"

#include <algorithm>
#include <array>

#include "core/schema/model.h"

namespace xp::schema {
namespace {

#define XP_WEIGHTS(name, arch, frontend, stats, hop, mels, fstride, tstride, frames, classes)      \
  PublishedWeights{                                                                                \
      name,   arch,   WeightsFrontend::frontend, WeightsStats::stats, hop, mels, fstride, tstride, \
      frames, classes},
constexpr std::array kWeights = {
#include "core/schema/weights.inc"
};
#undef XP_WEIGHTS

recipe::Section frontend_of(const PublishedWeights& weights) {
  recipe::Section out;
  out["mel_bins"] = recipe::Value(weights.mel_bins);
  out["hop_samples"] = recipe::Value(weights.hop_samples);
  if (weights.frontend == WeightsFrontend::kMel) {
    out["kind"] = "augment_mel";
    return out;
  }
  out["kind"] = "kaldi";
  out["frames"] = recipe::Value(weights.frames);
  if (weights.stats == WeightsStats::kSpeechCommands) {  // AST's egs/speechcommands/run_sc.sh
    out["norm_mean"] = recipe::Value(-6.845978);
    out["norm_std"] = recipe::Value(5.5654526);
  }
  return out;
}

}  // namespace

std::span<const PublishedWeights> published_weights() { return kWeights; }

const PublishedWeights* find_weights(std::string_view name) {
  const auto found = std::find_if(kWeights.begin(), kWeights.end(),
                                  [name](const PublishedWeights& w) { return w.name == name; });
  return found == kWeights.end() ? nullptr : &*found;
}

bool carry_published(const std::string& name, recipe::View& view) {
  const PublishedWeights* weights = find_weights(name);
  if (weights == nullptr || weights->frontend == WeightsFrontend::kImage) return false;
  recipe::Section model;
  model["arch"] = recipe::Value(std::string(weights->arch));
  const auto family = ModelOptions::parse_kind(weights->arch);
  if (family && is_transformer(*family)) {
    model["fstride"] = recipe::Value(weights->fstride);
    model["tstride"] = recipe::Value(weights->tstride);
    if (*family == Family::k_passt) model["pos_frames"] = recipe::Value(weights->frames);
  } else if (name.find("_as_fc") != name.npos) {
    model["cnn_head"] = "conv";
  }
  view.sections["model"] = std::move(model);
  view.sections["frontend"] = frontend_of(*weights);
  return true;
}

}  // namespace xp::schema
