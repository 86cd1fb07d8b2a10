#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/recipe/sweep_spec.h"
#include "core/recipe/value.h"

namespace xp::recipe {
class Language;
}

/// What a sweep varies.
namespace xp::sweeps {

/// One swept key.
struct Axis {
  std::string key;
  std::string text;  ///< the spec as it was written
  recipe::SweepSpec spec;
};

/// What can be chosen by itself: one axis, or several that are zipped.
struct Dimension {
  std::vector<size_t> axes;  ///< into Space::axes
  size_t choices = 0;        ///< 0: a range to draw from (then it has one axis)
};

/// The values of one trial, one an axis.
using Point = std::vector<recipe::Value>;

struct Space {
  std::vector<Axis> axes;
  std::vector<Dimension> dimensions;

  /// True when a dimension is a range: a grid cannot be made of it.
  bool has_ranges() const;
  /// Points of the grid, as a double so that it cannot overflow; infinite with a range.
  double size() const;
};

/// Axes from (key, spec) as the command line or [sweep] gives them. `zip` names groups of keys that
/// go forward together. Throws Error with the flag or key, what is wrong and the nearest key.
Space make_space(const recipe::Language& language,
                 const std::vector<std::pair<std::string, std::string>>& params,
                 const std::vector<std::vector<std::string>>& zip);

/// Every point; the last dimension changes fastest. Throws Error when there is a range.
std::vector<Point> grid(const Space& space);

/// The point at `place`: one number in [0, 1) a dimension. Choices are equally wide; ranges are
/// linear or logarithmic, integer ranges have equally wide integers, both ends included. Reals are
/// rounded to six significant digits.
Point point_at(const Space& space, std::span<const double> place);

/// "tome.r = 16, kd.lambda = 0.1"
std::string point_text(const Space& space, const Point& point);

/// The text of a value for `--set`: strings bare, everything else as TOML.
std::string set_text(const recipe::Value& value);

}  // namespace xp::sweeps
