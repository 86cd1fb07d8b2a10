#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace xp::sweeps {

/// Sobol's low-discrepancy sequence (Sobol 1967; Bratley and Fox 1988, Algorithm 659) with a
/// digital shift by `seed`. Dimension 0 is van der Corput's sequence; the others have the primitive
/// polynomials over GF(2) in order of degree. Initial direction numbers are free: here those of a
/// few candidates whose plane projections with the earlier dimensions are best.
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

/// Primitive polynomials over GF(2) of degree 1, 2, ...: bit k is the coefficient of x^k.
std::vector<uint32_t> primitive_polynomials(std::size_t count);

}  // namespace xp::sweeps
