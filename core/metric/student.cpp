#include "core/metric/student.h"

#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace xp::metric {
namespace {

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

Interval mean_interval(std::span<const double> values, double level) {
  if (values.size() < 2) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return {kNaN, kNaN};
  }
  const MeanDeviation spread = mean_deviation(values);
  const auto n = static_cast<double>(values.size());
  const double half = student_quantile(0.5 + level / 2, n - 1) * spread.deviation / std::sqrt(n);
  return {spread.mean - half, spread.mean + half};
}

}  // namespace xp::metric
