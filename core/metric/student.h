#pragma once

#include <span>

#include "core/metric/interval.h"

namespace xp::metric {

/// Student's t distribution: P(T <= t) at `degrees` > 0 degrees of freedom (need not be whole), by
/// the regularised incomplete beta function (Abramowitz & Stegun 26.7.1, 26.5.8).
double student_cdf(double t, double degrees);

/// The t that P(T <= t) = `p` has, 0 < p < 1. 12.706 for p = 0.975 at 1 degree.
double student_quantile(double p, double degrees);

/// Student's t interval of the mean of `values`; NaN bounds for fewer than two.
Interval mean_interval(std::span<const double> values, double level = 0.95);

}  // namespace xp::metric
