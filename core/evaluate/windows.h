#pragma once

#include <cstdint>
#include <vector>

namespace xp::evaluate {

/// Long clips in windows whose outputs are averaged, or told one by one: the same windows for the
/// stages and for `exp predict`.
struct Windows {
  int64_t length = 0;  ///< samples of a window; 0 = clips are heard whole
  int64_t hop = 0;     ///< samples between the beginnings of two windows, in [1, length]

  /// `hop_s` 0 = half a window; a longer hop than a window is a window, so that all is heard.
  static Windows of(double window_s, double hop_s, int64_t rate_hz);

  /// Samples of the windows of a clip: a shorter clip is one window of its own length.
  int64_t length_in(int64_t samples) const;
  /// Where they begin: at 0, one every hop, and the last where it ends with the clip. So all
  /// windows of a clip are of one length, and a clip that is no longer than a window is heard as it
  /// is.
  std::vector<int64_t> starts_in(int64_t samples) const;
};

}  // namespace xp::evaluate
