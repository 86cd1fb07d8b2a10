#pragma once

#include <string>
#include <vector>

#include "tracker/query.h"

namespace xp::tracker {

/// At most 4 * `buckets` of the points (sorted by step): of each bucket of the step axis the first,
/// the last, the smallest and the largest, so that a spike of one point stays. NaN points are kept
/// apart from these: the first of each bucket stays too.
std::vector<Point> downsample(const std::vector<Point>& points, size_t buckets);

/// The curve drawn with braille dots, `width` x `height` letters with its axes: for a terminal.
/// Steps with NaN are marked below the axis with `!`. Without a finite point it says so.
std::string draw_curve(const Curve& curve, int width, int height);

}  // namespace xp::tracker
