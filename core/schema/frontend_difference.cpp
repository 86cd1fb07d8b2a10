#include "core/schema/frontend_difference.h"

#include <fmt/format.h>

namespace xp::schema {
namespace {

/// Upper edge of the bands outside of training (FrontendOptions::high_hz).
double upper_edge(const FrontendOptions& frontend) {
  if (frontend.high_hz > 0) return frontend.high_hz;
  const double jitter = frontend.kind == FrontendKind::kAugmentMel ? frontend.high_jitter_hz : 0;
  return (static_cast<double>(frontend.rate_hz) - jitter) / 2;
}

}  // namespace

std::optional<FrontendDifference> frontend_difference(const FrontendOptions& theirs,
                                                      const FrontendOptions& ours) {
  std::optional<FrontendDifference> first;
  const auto compare = [&first](const char* key, const auto& there, const auto& here) {
    if (first || there == here) return;
    first = FrontendDifference{fmt::format("frontend.{}", key), fmt::format("{}", there),
                               fmt::format("{}", here)};
  };
  compare("kind", recipe::enum_name(theirs.kind), recipe::enum_name(ours.kind));
  compare("rate_hz", theirs.rate_hz, ours.rate_hz);
  compare("mel_bins", theirs.mel_bins, ours.mel_bins);
  compare("window_samples", theirs.window_samples, ours.window_samples);
  compare("hop_samples", theirs.hop_samples, ours.hop_samples);
  compare("fft_size", theirs.fft_size, ours.fft_size);
  compare("low_hz", theirs.low_hz, ours.low_hz);
  compare("high_hz", upper_edge(theirs), upper_edge(ours));
  return first;
}

}  // namespace xp::schema
