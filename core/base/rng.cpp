#include "core/base/rng.h"

#include <cmath>
#include <numbers>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace xp {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53U;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr uint32_t kWeyl0 = 0x9E3779B9U;
constexpr uint32_t kWeyl1 = 0xBB67AE85U;

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(kMultiplier0) * c[0];
    const uint64_t p1 = static_cast<uint64_t>(kMultiplier1) * c[2];
    c = {static_cast<uint32_t>(p1 >> 32U) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32U) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += kWeyl0;
    k[1] += kWeyl1;
  }
  return c;
}

}  // namespace

Rng::Rng(uint64_t seed, std::string_view purpose, uint64_t epoch, uint64_t index) {
  // The key takes seed and purpose; the upper counter words take epoch and index. Mixing the pair
  // down to 96 bits keeps every epoch and index below 2^48 apart exactly.
  const uint64_t key = XXH3_64bits_withSeed(purpose.data(), purpose.size(), seed);
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32U)};
  counter_ = {0, static_cast<uint32_t>(index),
              (static_cast<uint32_t>(index >> 32U) & 0xFFFFU) |
                  (static_cast<uint32_t>(epoch >> 32U) << 16U),
              static_cast<uint32_t>(epoch)};
}

void Rng::refill() {
  block_ = philox(counter_, key_);
  ++counter_[0];
  used_ = 0;
}

uint32_t Rng::operator()() {
  if (used_ == 4) refill();
  return block_[used_++];
}

uint64_t Rng::bits64() {
  const uint64_t low = (*this)();
  return low | (static_cast<uint64_t>((*this)()) << 32U);
}

double Rng::uniform() { return static_cast<double>(bits64() >> 11U) * 0x1.0p-53; }

uint64_t Rng::below(uint64_t n) {
  // Lemire 2019, "Fast random integer generation in an interval".
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(bits64()) * n;
  auto low = static_cast<uint64_t>(product);
  if (low < n) {
    const uint64_t threshold = (0 - n) % n;
    while (low < threshold) {
      product = static_cast<Wide>(bits64()) * n;
      low = static_cast<uint64_t>(product);
    }
  }
  return static_cast<uint64_t>(product >> 64U);
}

double Rng::normal() {
  const double u = 1.0 - uniform();  // (0, 1]: the logarithm stays finite
  const double v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

double Rng::gamma(double shape) {
  if (shape < 1.0) {
    const double boost = std::pow(1.0 - uniform(), 1.0 / shape);
    return gamma(shape + 1.0) * boost;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double v = std::pow(1.0 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double Rng::log_gamma(double shape) {
  if (shape >= 1.0) return std::log(gamma(shape));
  const double boost = std::log(1.0 - uniform()) / shape;
  return log_gamma(shape + 1.0) + boost;
}

double Rng::beta(double a, double b) {
  Rng again = *this;
  const double x = gamma(a);
  const double y = gamma(b);
  if (x + y > 0) return x / (x + y);
  const double log_x = again.log_gamma(a);
  const double log_y = again.log_gamma(b);
  return 1.0 / (1.0 + std::exp(log_y - log_x));
}

}  // namespace xp
