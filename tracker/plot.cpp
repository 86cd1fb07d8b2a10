#include "tracker/plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace xp::tracker {
namespace {

size_t bucket_of(int64_t step, int64_t first, int64_t last, size_t buckets) {
  if (last <= first) return 0;
  const double part = static_cast<double>(step - first) / (static_cast<double>(last - first) + 1.0);
  return std::min(buckets - 1, static_cast<size_t>(part * static_cast<double>(buckets)));
}

/// Keeps of points[from, to) what `downsample` promises.
void keep_of_bucket(const std::vector<Point>& points, size_t from, size_t to,
                    std::vector<Point>& out) {
  std::vector<size_t> kept = {from, to - 1};
  size_t low = to, high = to, nan = to;
  for (size_t i = from; i < to; ++i) {
    if (std::isnan(points[i].value)) {
      if (nan == to) nan = i;
      continue;
    }
    if (low == to || points[i].value < points[low].value) low = i;
    if (high == to || points[i].value > points[high].value) high = i;
  }
  for (const size_t i : {low, high, nan}) {
    if (i < to) kept.push_back(i);
  }
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  for (const size_t i : kept) out.push_back(points[i]);
}

/// A grid of braille letters: 2 x 4 dots each.
class Canvas {
 public:
  Canvas(int width, int height)
      : width_(width), height_(height), cells_(static_cast<size_t>(width * height)) {}

  int dots_x() const { return width_ * 2; }
  int dots_y() const { return height_ * 4; }

  void dot(int x, int y) {
    if (x < 0 || y < 0 || x >= dots_x() || y >= dots_y()) return;
    constexpr std::array<std::array<uint8_t, 2>, 4> kBits = {
        {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}};
    cells_[static_cast<size_t>((y / 4) * width_ + x / 2)] |=
        kBits[static_cast<size_t>(y % 4)][static_cast<size_t>(x % 2)];
  }

  void line(int x0, int y0, int x1, int y1) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      dot(static_cast<int>(std::lround(x0 + part * (x1 - x0))),
          static_cast<int>(std::lround(y0 + part * (y1 - y0))));
    }
  }

  std::string row(int y) const {
    std::string out;
    for (int x = 0; x < width_; ++x) {
      const unsigned code = 0x2800u + cells_[static_cast<size_t>(y * width_ + x)];
      out += static_cast<char>(0xE0u | (code >> 12));
      out += static_cast<char>(0x80u | ((code >> 6) & 0x3Fu));
      out += static_cast<char>(0x80u | (code & 0x3Fu));
    }
    return out;
  }

 private:
  int width_, height_;
  std::vector<uint8_t> cells_;
};

}  // namespace

std::vector<Point> downsample(const std::vector<Point>& points, size_t buckets) {
  if (points.size() <= buckets * 4 || buckets == 0) return points;
  std::vector<Point> out;
  const int64_t first = points.front().step, last = points.back().step;
  for (size_t from = 0; from < points.size();) {
    const size_t bucket = bucket_of(points[from].step, first, last, buckets);
    size_t to = from + 1;
    while (to < points.size() && bucket_of(points[to].step, first, last, buckets) == bucket) ++to;
    keep_of_bucket(points, from, to, out);
    from = to;
  }
  return out;
}

std::string draw_curve(const Curve& curve, int width, int height) {
  double low = INFINITY, high = -INFINITY;
  for (const Point& point : curve.points) {
    if (!std::isfinite(point.value)) continue;
    low = std::min(low, point.value);
    high = std::max(high, point.value);
  }
  const std::string unit = text(curve.unit).empty() ? "" : fmt::format(" [{}]", text(curve.unit));
  const std::string title =
      fmt::format("{}{}{}\n", curve.metric, unit, curve.reused ? "  (of a cached stage)" : "");
  if (low > high) return title + "no finite value yet\n";
  const double range = high > low ? high - low : std::max(std::abs(high), 1.0);
  if (high == low) low -= range / 2;
  constexpr int kLabel = 11;
  width = std::max(width - kLabel, 10);
  Canvas canvas(width, height);
  const int64_t first = curve.points.front().step, last = curve.points.back().step;
  const double span = std::max<double>(1, static_cast<double>(last - first));
  std::string marks(static_cast<size_t>(width), ' ');
  bool any_mark = false, have = false;
  int before_x = 0, before_y = 0;
  for (const Point& point : downsample(curve.points, static_cast<size_t>(canvas.dots_x()))) {
    const double part = static_cast<double>(point.step - first) / span;
    const int x = static_cast<int>(std::lround(part * (canvas.dots_x() - 1)));
    if (!std::isfinite(point.value)) {
      marks[static_cast<size_t>(x / 2)] = '!';
      any_mark = true;
      have = false;
      continue;
    }
    const int y =
        static_cast<int>(std::lround((1 - (point.value - low) / range) * (canvas.dots_y() - 1)));
    if (have) {
      canvas.line(before_x, before_y, x, y);
    } else {
      canvas.dot(x, y);
    }
    before_x = x;
    before_y = y;
    have = true;
  }
  std::string out = title;
  for (int y = 0; y < height; ++y) {
    const double value = low + range * (1 - (y + 0.5) / height);
    const bool labelled = y == 0 || y == height - 1 || y == height / 2;
    out += fmt::format("{:>{}} {}\n", labelled ? fmt::format("{:.4g}", value) : "", kLabel - 1,
                       canvas.row(y));
  }
  marks.resize(marks.find_last_of('!') + 1);
  if (any_mark) out += fmt::format("{:>{}} {}\n", "not finite", kLabel - 1, marks);
  const std::string right = fmt::format("{} {}", text(curve.grain), last);
  out += fmt::format("{:>{}} {:<{}}{}\n", "", kLabel - 1, first,
                     std::max(1, width - static_cast<int>(right.size())), right);
  return out;
}

}  // namespace xp::tracker
