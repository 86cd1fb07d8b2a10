#include "core/ops/fft_plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace xp::ops {
namespace {

/// exp(-2 pi i k / n) as two floats, computed in double from the exact fraction.
void push_root(std::vector<float>& table, int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n);
  table.push_back(static_cast<float>(std::cos(angle)));
  table.push_back(static_cast<float>(std::sin(angle)));
}

/// Where frequency k of the whole transform is after all passes: the passes of radix r1, r2, ...
/// leave k = s1 + r1 (s2 + r2 (...)) at s1 n / r1 + s2 n / (r1 r2) + ...
int64_t row_of(int64_t k, int64_t n, const std::vector<int64_t>& radices) {
  int64_t row = 0;
  int64_t place = n;
  for (int64_t r : radices) {
    place /= r;
    row += (k % r) * place;
    k /= r;
  }
  return row;
}

}  // namespace

std::vector<int64_t> fft_radices(int64_t n) {
  std::vector<int64_t> odd, twos, fours;
  for (; n % 4 == 0; n /= 4) fours.push_back(4);
  for (; n % 2 == 0; n /= 2) twos.push_back(2);
  for (int64_t p = 3; n > 1; p += 2) {
    if (p * p > n) p = n;
    for (; n % p == 0; n /= p) odd.push_back(p);
  }
  fours.insert(fours.end(), odd.begin(), odd.end());
  fours.insert(fours.end(), twos.begin(), twos.end());
  return fours;
}

FftPlan::FftPlan(int64_t fft_size) {
  const int64_t half = fft_size / 2;
  const std::vector<int64_t> radices = fft_radices(half);
  int64_t n = half;
  for (int64_t r : radices) {
    FftStage stage;
    stage.radix = r;
    stage.span = n / r;
    stage.blocks = half / n;
    std::vector<float>& twiddles = tables_.emplace_back();
    for (int64_t j = 0; j < stage.span; ++j) {
      for (int64_t s = 1; s < r; ++s) push_root(twiddles, j * s, n);
    }
    stage.twiddles = twiddles.data();
    std::vector<float>& roots = tables_.emplace_back();
    for (int64_t q = 0; q < r; ++q) push_root(roots, q, r);
    stage.roots = roots.data();
    stages_.push_back(stage);
    n /= r;
  }
  for (int64_t k = 0; k <= half / 2; ++k) {
    SplitPair pair{};
    pair.bin = static_cast<int32_t>(k);
    pair.mirror = static_cast<int32_t>((half - k) % half);
    pair.bin_row = static_cast<int32_t>(row_of(pair.bin, half, radices));
    pair.mirror_row = static_cast<int32_t>(row_of(pair.mirror, half, radices));
    std::vector<float> root;
    push_root(root, k, fft_size);
    pair.cos = root[0];
    pair.sin = root[1];
    pairs_.push_back(pair);
  }
}

int64_t FftPlan::max_radix() const {
  int64_t most = 1;
  for (const FftStage& stage : stages_) most = std::max(most, stage.radix);
  return most;
}

}  // namespace xp::ops
