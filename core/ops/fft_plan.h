#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/ops/log_mel_kernel.h"

namespace xp::ops {

/// Tables of the real FFT of `fft_size` (even) samples as a complex one of half the size: passes of
/// radix 4, 2, 3, 5, then other primes, and the pairs of bins to split. Owns what FftStage points
/// to, so it does not move.
class FftPlan {
 public:
  explicit FftPlan(int64_t fft_size);
  FftPlan(const FftPlan&) = delete;
  FftPlan& operator=(const FftPlan&) = delete;

  const std::vector<FftStage>& stages() const { return stages_; }
  const std::vector<SplitPair>& pairs() const { return pairs_; }
  int64_t max_radix() const;

 private:
  std::deque<std::vector<float>> tables_;
  std::vector<FftStage> stages_;
  std::vector<SplitPair> pairs_;
};

/// Radices of a transform of n points: their product is n. Fours come last, where twiddles are
/// cheapest.
std::vector<int64_t> fft_radices(int64_t n);

}  // namespace xp::ops
