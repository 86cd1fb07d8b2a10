#include "core/report/statistics.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"

namespace xp::report {
namespace {

constexpr double kLevel = 0.95;

// The continued fraction of the incomplete beta function (A&S 26.5.8), evaluated by Lentz's method.
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), out = d;
  for (int m = 1; m <= 500; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    out *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    const double step = d * c;
    out *= step;
    if (std::abs(step - 1) < 1e-15) break;
  }
  return out;
}

// I_x(a, b). The fraction converges fast below the mean of the distribution; above, use symmetry.
double incomplete_beta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(1 - x, b, a) / b;
}

// Fills interval and p of a difference with standard error `error` at `degrees`.
void bound(Contrast& out, double error, double degrees) {
  if (error > 0) {
    const double half = student_quantile(0.5 + kLevel / 2, degrees) * error;
    out.interval = {out.difference - half, out.difference + half};
    out.p = 2 * (1 - student_cdf(std::abs(out.difference / error), degrees));
  } else {  // no spread at all: the difference is what it is
    out.interval = {out.difference, out.difference};
    out.p = out.difference == 0 ? 1 : 0;
  }
}

}  // namespace

double student_cdf(double t, double degrees) {
  XP_CHECK(degrees > 0, "degrees of freedom must be positive");
  if (std::isinf(t)) return t > 0 ? 1 : 0;
  const double tail = incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
}

double student_quantile(double p, double degrees) {
  XP_CHECK(p > 0 && p < 1, "a probability between 0 and 1");
  if (p < 0.5) return -student_quantile(1 - p, degrees);
  double low = 0, high = 1;
  while (student_cdf(high, degrees) < p) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (student_cdf(middle, degrees) < p ? low : high) = middle;
  }
  return high;
}

Estimate estimate(std::span<const double> values) {
  Estimate out;
  out.n = static_cast<int>(values.size());
  if (values.empty()) return out;
  const metric::MeanDeviation spread = metric::mean_deviation(values);
  out.mean = spread.mean;
  if (out.n < 2) return out;
  out.deviation = spread.deviation;
  const double half =
      student_quantile(0.5 + kLevel / 2, out.n - 1) * spread.deviation / std::sqrt(out.n);
  out.interval = {out.mean - half, out.mean + half};
  return out;
}

Contrast paired(std::span<const double> a, std::span<const double> b) {
  XP_CHECK(a.size() == b.size(), "pairs need two values each");
  Contrast out;
  out.n = static_cast<int>(a.size());
  if (a.empty()) return out;
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = b[i] - a[i];
  const metric::MeanDeviation spread = metric::mean_deviation(differences);
  out.difference = spread.mean;
  out.kind = out.n < 2 ? Contrast::Kind::kPlain : Contrast::Kind::kPaired;
  if (out.n >= 2) bound(out, spread.deviation / std::sqrt(out.n), out.n - 1);
  return out;
}

Contrast unpaired(std::span<const double> a, std::span<const double> b) {
  Contrast out;
  out.n = static_cast<int>(std::min(a.size(), b.size()));
  if (out.n == 0) return out;
  const metric::MeanDeviation x = metric::mean_deviation(a), y = metric::mean_deviation(b);
  out.difference = y.mean - x.mean;
  out.kind = out.n < 2 ? Contrast::Kind::kPlain : Contrast::Kind::kUnpaired;
  if (out.n < 2) return out;
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  const double u = x.deviation * x.deviation / n, v = y.deviation * y.deviation / m;
  const double degrees =
      u + v > 0 ? (u + v) * (u + v) / (u * u / (n - 1) + v * v / (m - 1)) : n + m - 2;
  bound(out, std::sqrt(u + v), degrees);
  return out;
}

}  // namespace xp::report
