#include "data/convolve.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <utility>

namespace xp::data {
namespace {

using Complex = std::complex<double>;

/// In place, radix 2 (Cooley and Tukey 1965); size a power of two. `sign` -1 forward, +1 backward
/// without 1/n.
void fft(std::vector<Complex>& a, int sign) {
  const size_t n = a.size();
  for (size_t i = 1, j = 0; i < n; ++i) {
    size_t bit = n >> 1U;
    for (; (j & bit) != 0; bit >>= 1U) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(a[i], a[j]);
  }
  std::vector<Complex> roots(n / 2);
  for (size_t k = 0; k < roots.size(); ++k) {
    roots[k] = std::polar(
        1.0, sign * 2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n));
  }
  for (size_t length = 2; length <= n; length <<= 1U) {
    const size_t step = n / length;
    for (size_t i = 0; i < n; i += length) {
      for (size_t k = 0; k < length / 2; ++k) {
        const Complex odd = a[i + k + length / 2] * roots[k * step];
        a[i + k + length / 2] = a[i + k] - odd;
        a[i + k] += odd;
      }
    }
  }
}

}  // namespace

std::vector<float> convolve_head(std::span<const float> x, std::span<const float> h) {
  std::vector<float> out(x.size(), 0.0F);
  h = h.first(std::min(h.size(), x.size()));  // later taps reach only what is cut
  if (h.empty()) return out;
  size_t n = 1;
  while (n < 2 * h.size()) n <<= 1U;
  n = std::max<size_t>(n, 1024);
  const size_t block = n - h.size() + 1;
  std::vector<Complex> filter(n);
  std::copy(h.begin(), h.end(), filter.begin());
  fft(filter, -1);
  std::vector<Complex> piece(n);
  for (size_t at = 0; at < x.size(); at += block) {
    const size_t count = std::min(block, x.size() - at);
    std::fill(piece.begin(), piece.end(), Complex());
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(at), count, piece.begin());
    fft(piece, -1);
    for (size_t i = 0; i < n; ++i) piece[i] *= filter[i];
    fft(piece, 1);
    const size_t end = std::min(out.size() - at, count + h.size() - 1);
    for (size_t i = 0; i < end; ++i)
      out[at + i] += static_cast<float>(piece[i].real() / static_cast<double>(n));
  }
  return out;
}

}  // namespace xp::data
