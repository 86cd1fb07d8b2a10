#include "sweeps/sobol.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::sweeps {
namespace {

constexpr int kBits = 32;
constexpr int kLooked = 8;  // bits of a projection that are judged
constexpr int kCandidates = 24;

using Column = std::vector<uint32_t>;

int degree_of(uint32_t polynomial) {
  int out = 0;
  while ((polynomial >> (out + 1)) != 0) ++out;
  return out;
}

// x has order 2^degree - 1 modulo the polynomial.
bool primitive(uint32_t polynomial) {
  const int degree = degree_of(polynomial);
  const uint32_t order = (1U << degree) - 1;
  uint32_t power = 1;
  for (uint32_t i = 1; i <= order; ++i) {
    power <<= 1;
    if ((power >> degree) != 0) power ^= polynomial;
    if (power == 1) return i == order;
  }
  return false;
}

// The recurrence of Bratley and Fox: m_k = 2 a_1 m_(k-1) ^ ... ^ 2^s m_(k-s) ^ m_(k-s), v_k = m_k /
// 2^k.
Column directions(uint32_t polynomial, std::vector<uint32_t> m) {
  const int s = degree_of(polynomial);
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

// Row `bit` of the generator matrix (which input bits make this output bit), over the first
// columns.
uint32_t row_of(const Column& column, int bit) {
  uint32_t out = 0;
  for (int k = 0; k < kLooked; ++k) out |= ((column[k] >> (kBits - 1 - bit)) & 1U) << k;
  return out;
}

bool independent(std::vector<uint32_t> rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == 0) return false;
    const uint32_t low = rows[i] & (~rows[i] + 1);
    for (size_t j = i + 1; j < rows.size(); ++j) {
      if ((rows[j] & low) != 0) rows[j] ^= rows[i];
    }
  }
  return true;
}

// How many leading bits of a plane are evenly filled: 8 is a perfect net of 256 points.
int evenness(const Column& a, const Column& b) {
  for (int k = 1; k <= kLooked; ++k) {
    for (int of_a = 0; of_a <= k; ++of_a) {
      std::vector<uint32_t> rows;
      for (int i = 0; i < of_a; ++i) rows.push_back(row_of(a, i));
      for (int i = 0; i < k - of_a; ++i) rows.push_back(row_of(b, i));
      if (!independent(rows)) return k - 1;
    }
  }
  return kLooked;
}

Column best_directions(uint32_t polynomial, const std::vector<Column>& earlier) {
  const int s = degree_of(polynomial);
  Column best;
  int best_score = -1;
  for (int candidate = 0; candidate < kCandidates; ++candidate) {
    Rng rng(0, "sobol", polynomial, static_cast<uint64_t>(candidate));
    std::vector<uint32_t> m;
    for (int k = 0; k < s; ++k)
      m.push_back(2 * static_cast<uint32_t>(rng.below(uint64_t{1} << k)) + 1);
    Column column = directions(polynomial, m);
    int worst = kLooked, sum = 0;
    for (const Column& other : earlier) {
      const int even = evenness(other, column);
      worst = std::min(worst, even);
      sum += even;
    }
    const int score = worst * 1000 + sum;
    if (score > best_score) {
      best_score = score;
      best = std::move(column);
    }
  }
  return best;
}

}  // namespace

std::vector<uint32_t> primitive_polynomials(size_t count) {
  std::vector<uint32_t> out;
  for (uint32_t polynomial = 3; out.size() < count; polynomial += 2) {  // the constant term is 1
    if (primitive(polynomial)) out.push_back(polynomial);
  }
  return out;
}

Sobol::Sobol(int dimensions, uint64_t seed) {
  if (dimensions < 1 || dimensions > kMaxDimensions)
    throw Error(fmt::format("sobol: {} swept keys; it takes 1 to {}", dimensions, kMaxDimensions));
  const std::vector<uint32_t> polynomials =
      primitive_polynomials(static_cast<size_t>(dimensions) - 1);
  Column first(kBits);
  for (int k = 0; k < kBits; ++k) first[k] = 1U << (kBits - 1 - k);
  directions_.push_back(first);
  for (const uint32_t polynomial : polynomials)
    directions_.push_back(best_directions(polynomial, directions_));
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
