#include "core/report/statistics.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/metric/student.h"

namespace xp::report {
namespace {

constexpr double kLevel = 0.95;

// Fills interval and p of a difference with standard error `error` at `degrees`.
void bound(Contrast& out, double error, double degrees) {
  if (error > 0) {
    const double half = metric::student_quantile(0.5 + kLevel / 2, degrees) * error;
    out.interval = {out.difference - half, out.difference + half};
    out.p = 2 * (1 - metric::student_cdf(std::abs(out.difference / error), degrees));
  } else {  // no spread at all: the difference is what it is
    out.interval = {out.difference, out.difference};
    out.p = out.difference == 0 ? 1 : 0;
  }
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  Estimate out;
  out.n = static_cast<int>(values.size());
  if (values.empty()) return out;
  const metric::MeanDeviation spread = metric::mean_deviation(values);
  out.mean = spread.mean;
  if (out.n < 2) return out;
  out.deviation = spread.deviation;
  out.interval = metric::mean_interval(values, kLevel);
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
