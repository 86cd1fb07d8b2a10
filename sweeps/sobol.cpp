#include "sweeps/sobol.h"

#include <array>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::sweeps {
namespace {

constexpr int kBits = 32;

using Column = std::vector<uint32_t>;

struct Published {
  uint32_t polynomial;        ///< primitive over GF(2): bit k is the coefficient of x^k
  std::array<uint32_t, 7> m;  ///< the first of the numbers m_k, as many as its degree
};

// Joe and Kuo 2008, "Constructing Sobol sequences with better two-dimensional projections", their
// table of criterion D(6) (new-joe-kuo-6.21201), dimensions 2 to 36.
constexpr std::array<Published, 35> kPublished = {{{3, {1}},
                                                   {7, {1, 3}},
                                                   {11, {1, 3, 1}},
                                                   {13, {1, 1, 1}},
                                                   {19, {1, 1, 3, 3}},
                                                   {25, {1, 3, 5, 13}},
                                                   {37, {1, 1, 5, 5, 17}},
                                                   {41, {1, 1, 5, 5, 5}},
                                                   {47, {1, 1, 7, 11, 19}},
                                                   {55, {1, 1, 5, 1, 1}},
                                                   {59, {1, 1, 1, 3, 11}},
                                                   {61, {1, 3, 5, 5, 31}},
                                                   {67, {1, 3, 3, 9, 7, 49}},
                                                   {91, {1, 1, 1, 15, 21, 21}},
                                                   {97, {1, 3, 1, 13, 27, 49}},
                                                   {103, {1, 1, 1, 15, 7, 5}},
                                                   {109, {1, 3, 1, 15, 13, 25}},
                                                   {115, {1, 1, 5, 5, 19, 61}},
                                                   {131, {1, 3, 7, 11, 23, 15, 103}},
                                                   {137, {1, 3, 7, 13, 13, 15, 69}},
                                                   {143, {1, 1, 3, 13, 7, 35, 63}},
                                                   {145, {1, 3, 5, 9, 1, 25, 53}},
                                                   {157, {1, 3, 1, 13, 9, 35, 107}},
                                                   {167, {1, 3, 1, 5, 27, 61, 31}},
                                                   {171, {1, 1, 5, 11, 19, 41, 61}},
                                                   {185, {1, 3, 5, 3, 3, 13, 69}},
                                                   {191, {1, 1, 7, 13, 1, 19, 1}},
                                                   {193, {1, 3, 7, 5, 13, 19, 59}},
                                                   {203, {1, 1, 3, 9, 25, 29, 41}},
                                                   {211, {1, 3, 5, 13, 23, 1, 55}},
                                                   {213, {1, 3, 7, 3, 13, 59, 17}},
                                                   {229, {1, 3, 1, 3, 5, 53, 69}},
                                                   {239, {1, 1, 5, 5, 23, 33, 13}},
                                                   {241, {1, 1, 7, 7, 1, 61, 123}},
                                                   {247, {1, 1, 7, 9, 13, 61, 49}}}};

int degree_of(uint32_t polynomial) {
  int out = 0;
  while ((polynomial >> (out + 1)) != 0) ++out;
  return out;
}

// The recurrence of Bratley and Fox: m_k = 2 a_1 m_(k-1) ^ ... ^ 2^s m_(k-s) ^ m_(k-s), v_k = m_k /
// 2^k.
Column directions(const Published& row) {
  const uint32_t polynomial = row.polynomial;
  const int s = degree_of(polynomial);
  std::vector<uint32_t> m(row.m.begin(), row.m.begin() + s);
  Column out(kBits);
  for (int k = 0; k < kBits; ++k) {
    if (k >= s) {
      uint64_t next = (static_cast<uint64_t>(m[k - s]) << s) ^ m[k - s];
      for (int i = 1; i < s; ++i) {
        if (((polynomial >> (s - i)) & 1U) != 0) next ^= static_cast<uint64_t>(m[k - i]) << i;
      }
      m.push_back(static_cast<uint32_t>(next));
    }
    out[k] = m[k] << (kBits - 1 - k);
  }
  return out;
}

}  // namespace

Sobol::Sobol(int dimensions, uint64_t seed) {
  if (dimensions < 1 || dimensions > kMaxDimensions)
    throw Error(fmt::format("sobol: {} swept keys; it takes 1 to {}", dimensions, kMaxDimensions));
  Column first(kBits);
  for (int k = 0; k < kBits; ++k) first[k] = 1U << (kBits - 1 - k);
  directions_.push_back(first);
  for (int d = 1; d < dimensions; ++d)
    directions_.push_back(directions(kPublished[static_cast<size_t>(d) - 1]));
  for (int d = 0; d < dimensions; ++d)
    shift_.push_back(Rng(seed, "sobol shift", 0, static_cast<uint64_t>(d))());
}

std::vector<double> Sobol::point(uint64_t index) const {
  std::vector<double> out;
  const uint64_t gray = index ^ (index >> 1);
  for (size_t d = 0; d < directions_.size(); ++d) {
    uint32_t bits = shift_[d];
    for (int k = 0; k < kBits; ++k) {
      if (((gray >> k) & 1U) != 0) bits ^= directions_[d][k];
    }
    out.push_back(static_cast<double>(bits) * 0x1p-32);
  }
  return out;
}

}  // namespace xp::sweeps
