#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace xp {

/// Random numbers as a pure function of (seed, purpose, epoch, index): Philox4x32-10 (Salmon et al.
/// 2011, "Parallel random numbers: as easy as 1, 2, 3"). The same arguments give the same numbers
/// on every machine, thread, rank and day, so a resumed or redistributed run sees the same draws.
///
/// `purpose` names what is drawn ("epoch_order", "mixup", "patchout"): two purposes never share
/// numbers. `index` is the global position in the epoch's order, or the global step for batch-wide
/// draws; never a rank or a worker.
class Rng {
 public:
  Rng(uint64_t seed, std::string_view purpose, uint64_t epoch = 0, uint64_t index = 0);

  /// 32 random bits; the type is also a UniformRandomBitGenerator.
  using result_type = uint32_t;
  static constexpr uint32_t min() { return 0; }
  static constexpr uint32_t max() { return UINT32_MAX; }
  uint32_t operator()();

  uint64_t bits64();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n), without modulo bias; n >= 1.
  uint64_t below(uint64_t n);
  /// Standard normal (Box-Muller, one value a call so that draws do not depend on what came
  /// before).
  double normal();
  /// Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000).
  double gamma(double shape);
  /// Beta(a, b) as a ratio of gammas; of their logarithms where both are too small for a double.
  double beta(double a, double b);

 private:
  void refill();
  /// The logarithm of what `gamma` would draw, also where that is too small.
  double log_gamma(double shape);

  std::array<uint32_t, 2> key_{};
  std::array<uint32_t, 4> counter_{};  // word 0 counts blocks; the rest come from epoch and index
  std::array<uint32_t, 4> block_{};
  unsigned used_ = 4;
};

}  // namespace xp
