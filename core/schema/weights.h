#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/recipe/view.h"

namespace xp::schema {

/// The input that published weights were trained on.
enum class WeightsFrontend {
  kAst,   ///< kaldi, 16 kHz
  kMel,   ///< augment_mel, 32 kHz
  kImage  ///< ImageNet: any frontend
};

enum class WeightsStats { kAudioSet, kSpeechCommands };

/// One line of weights.inc.
struct PublishedWeights {
  const char* name;
  const char* arch;
  WeightsFrontend frontend;
  WeightsStats stats;
  int64_t hop_samples;
  int64_t mel_bins;
  int64_t fstride;
  int64_t tstride;
  int64_t frames;
  int64_t classes;  ///< 0 = no classifier
};

std::span<const PublishedWeights> published_weights();
/// nullptr for a name that is not published.
const PublishedWeights* find_weights(std::string_view name);

/// Sets a view's [model] and [frontend] to those of published weights; false for a name that is not
/// published and for an ImageNet start, which has no frontend.
bool carry_published(const std::string& name, recipe::View& view);

}  // namespace xp::schema
