#pragma once

#include <cstdint>
#include <vector>

namespace xp::sweeps {

/// Sobol's low-discrepancy sequence (Sobol 1967; Bratley and Fox 1988, Algorithm 659) with a
/// digital shift by `seed`, with the direction numbers of Joe and Kuo 2008: before the shift its
/// points are those of other tools.
class Sobol {
 public:
  static constexpr int kMaxDimensions = 36;

  /// `dimensions` from 1 to kMaxDimensions.
  Sobol(int dimensions, uint64_t seed);

  /// Point `index` (from 0), each coordinate in [0, 1). Any block of 2^m points that begins at a
  /// multiple of 2^m has one point in each interval of length 2^-m of each axis.
  std::vector<double> point(uint64_t index) const;

 private:
  std::vector<std::vector<uint32_t>> directions_;  ///< [dimension][bit], the top bit first
  std::vector<uint32_t> shift_;
};

}  // namespace xp::sweeps
