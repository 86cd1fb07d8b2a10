#include "core/evaluate/windows.h"

#include <algorithm>
#include <cmath>

namespace xp::evaluate {

Windows Windows::of(double window_s, double hop_s, int64_t rate_hz) {
  const auto rate = static_cast<double>(rate_hz);
  const int64_t length = std::llround(window_s * rate);
  if (length <= 0) return {};
  const int64_t hop = hop_s > 0 ? std::llround(hop_s * rate) : length / 2;
  return {length, std::clamp<int64_t>(hop, 1, length)};
}

int64_t Windows::length_in(int64_t samples) const {
  return length > 0 ? std::min(length, samples) : samples;
}

std::vector<int64_t> Windows::starts_in(int64_t samples) const {
  const int64_t last = samples - length_in(samples);
  std::vector<int64_t> starts = {0};
  while (starts.back() < last) starts.push_back(std::min(starts.back() + hop, last));
  return starts;
}

}  // namespace xp::evaluate
