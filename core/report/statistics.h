#pragma once

#include <cmath>
#include <limits>
#include <span>

#include "core/metric/interval.h"

namespace xp::report {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A value over seeds. `interval` is the 95 % t interval of the mean; NaN bounds for n < 2, where
/// seeds say nothing.
struct Estimate {
  int n = 0;
  double mean = kNaN;
  double deviation = kNaN;  ///< sample deviation (n - 1); NaN for n < 2
  metric::Interval interval{kNaN, kNaN};
  bool of_clips = false;  ///< one seed: the interval is the run's own, over its clips or folds

  bool known() const { return n > 0 && !std::isnan(mean); }
  bool bounded() const { return !std::isnan(interval.low) && !std::isnan(interval.high); }
};
Estimate estimate(std::span<const double> values);

/// b - a.
struct Contrast {
  enum class Kind {
    kNone,     ///< one side has no value
    kPlain,    ///< a difference of single values: no interval
    kClips,    ///< of single values, bounded by their intervals over clips: too wide, never too
               ///< narrow
    kPaired,   ///< t interval of the differences at equal seeds
    kUnpaired  ///< Welch's t interval: seeds do not match
  };
  Kind kind = Kind::kNone;
  int n = 0;  ///< pairs, or the values of the smaller side
  double difference = kNaN;
  metric::Interval interval{kNaN, kNaN};
  double p = kNaN;  ///< two-sided

  bool bounded() const { return !std::isnan(interval.low); }
  /// The interval says that there is a difference.
  bool measurable() const { return bounded() && (interval.low > 0 || interval.high < 0); }
};

/// Paired t: `a[i]` and `b[i]` are of one seed. Bounds are NaN for fewer than two pairs.
Contrast paired(std::span<const double> a, std::span<const double> b);

/// Welch's unequal-variance t. Bounds are NaN when a side has fewer than two values.
Contrast unpaired(std::span<const double> a, std::span<const double> b);

}  // namespace xp::report
