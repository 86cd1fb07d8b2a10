#include "core/report/pareto.h"

#include <algorithm>
#include <cmath>

namespace xp::report {
namespace {

bool beats(const std::vector<double>& q, const std::vector<double>& p) {
  bool better = false;
  for (size_t i = 0; i < p.size(); ++i) {
    if (q[i] < p[i]) return false;
    better = better || q[i] > p[i];
  }
  return better;
}

}  // namespace

std::vector<size_t> pareto_front(std::span<const std::vector<double>> points) {
  std::vector<size_t> order;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& point = points[i];
    if (std::none_of(point.begin(), point.end(), [](double v) { return std::isnan(v); }))
      order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return points[a] > points[b]; });
  std::vector<size_t> front;
  for (const size_t i : order) {
    const bool beaten = std::any_of(front.begin(), front.end(),
                                    [&](size_t held) { return beats(points[held], points[i]); });
    if (!beaten) front.push_back(i);
  }
  std::sort(front.begin(), front.end());
  return front;
}

}  // namespace xp::report
