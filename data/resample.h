#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/schema/dataset.h"

namespace xp::data {

/// Mono from one rate to another by soxr, a block at a time: n samples in all become
/// round(n * to / from), the same bits however they are cut into blocks. Equal rates copy.
class Resampler {
 public:
  Resampler(int64_t from_hz, int64_t to_hz, schema::ResampleQuality quality);
  ~Resampler();
  Resampler(Resampler&&) noexcept;
  Resampler& operator=(Resampler&&) noexcept;

  /// Appends to `out` what is ready after these samples.
  void feed(std::span<const float> samples, std::vector<float>& out);
  /// Appends the rest; nothing is fed after it.
  void finish(std::vector<float>& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All at once.
std::vector<float> resample(std::span<const float> samples, int64_t from_hz, int64_t to_hz,
                            schema::ResampleQuality quality);

}  // namespace xp::data
