#pragma once

#include <string>
#include <vector>

namespace xp::report {

/// A mapping of values to pixels, linear or logarithmic.
struct Scale {
  double low = 0, high = 1;   ///< values; above 0 where logarithmic
  double begin = 0, end = 1;  ///< pixels of low and high
  bool log = false;

  double operator()(double value) const;
};

/// Room around the values: 5 % at both ends; one value gets room too. `values` may hold NaN and
/// infinities, which do not count. {0, 1} for none.
std::pair<double, double> padded_range(const std::vector<double>& values, bool log);

/// About `count` round values within the range: 1, 2 or 5 times a power of ten; powers of ten where
/// logarithmic and wide.
std::vector<double> ticks(const Scale& scale, int count);

/// The shortest text of a tick that tells it from its neighbours `step` away.
std::string tick_text(double value);

/// A colour between blue and orange of one lightness, readable on light and dark; `t` in [0, 1].
std::string ramp(double t);

}  // namespace xp::report
