#include "core/report/downsample.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace xp::report {
namespace {

// What is kept of the points of one column, by index.
void keep(const std::vector<XY>& points, size_t begin, size_t end, std::vector<XY>& out) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t first = kNone, least = kNone, most = kNone, last = kNone, odd = kNone;
  for (size_t i = begin; i < end; ++i) {
    if (!std::isfinite(points[i].y)) {
      if (odd == kNone) odd = i;
      continue;
    }
    if (first == kNone) first = least = most = i;
    if (points[i].y < points[least].y) least = i;
    if (points[i].y > points[most].y) most = i;
    last = i;
  }
  std::array<size_t, 5> kept = {first, least, most, last, odd};
  std::sort(kept.begin(), kept.end());
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != kNone && (i == 0 || kept[i] != kept[i - 1])) out.push_back(points[kept[i]]);
  }
}

}  // namespace

std::vector<XY> downsample(const std::vector<XY>& points, size_t columns) {
  if (points.size() <= 4 * columns) return points;
  const double low = points.front().x, span = points.back().x - low;
  const auto column = [&](double x) {
    const double at = span > 0 ? (x - low) / span * static_cast<double>(columns) : 0;
    return std::min(static_cast<size_t>(at), columns - 1);
  };
  std::vector<XY> out;
  for (size_t begin = 0; begin < points.size();) {
    size_t end = begin + 1;
    while (end < points.size() && column(points[end].x) == column(points[begin].x)) ++end;
    keep(points, begin, end, out);
    begin = end;
  }
  return out;
}

}  // namespace xp::report
