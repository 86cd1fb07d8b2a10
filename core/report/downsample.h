#pragma once

#include <cstddef>
#include <vector>

namespace xp::report {

struct XY {
  double x = 0, y = 0;  ///< y may be NaN or infinite
};

/// At most 4 points for each of `columns` equal parts of the range of x: the first, least, greatest
/// and last number of each (M4: Jugel et al., VLDB 2014), so that a line drawn `columns` pixels
/// wide is the same as that of all points. The first NaN or infinity of each part is kept too.
/// `points` are by ascending x. Fewer points come back as they are.
std::vector<XY> downsample(const std::vector<XY>& points, size_t columns);

}  // namespace xp::report
