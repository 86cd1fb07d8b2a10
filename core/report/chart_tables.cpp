// The drawings that are not series over two axes: parallel coordinates, heat map, bars.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/report/chart.h"
#include "core/report/scale.h"
#include "core/report/svg.h"

namespace xp::report {
namespace {

constexpr size_t kMarkedRows = 60;

std::string shortened(const std::string& text, size_t letters) {
  return text.size() <= letters ? text : text.substr(0, letters - 1) + "…";
}

std::pair<double, double> plain_range(const std::vector<double>& values) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return {low, high};
}

std::vector<double> column(const Parallel& chart, size_t axis) {
  std::vector<double> out;
  for (const auto& row : chart.rows) out.push_back(row[axis]);
  return out;
}

void parallel_axis(Svg& svg, const ParallelAxis& axis, const Scale& scale, double x, bool last) {
  svg.line(x, scale.begin, x, scale.end, "class=\"axis\"");
  svg.text(x, scale.begin + 24, shortened(axis.label, 22), "middle", "class=\"label\"");
  const char* anchor = last ? "end" : "start";
  const double at = last ? x - 6 : x + 6;
  if (axis.names.empty()) {
    for (const double value : ticks(scale, 5))
      svg.text(at, scale(value) + 4, tick_text(value), anchor, "class=\"tick\"");
  }
  for (size_t i = 0; i < axis.names.size(); ++i)
    svg.text(at, scale(static_cast<double>(i)) + 4, shortened(axis.names[i], 16), anchor,
             "class=\"tick\"");
}

}  // namespace

std::string draw(const Parallel& chart) {
  constexpr double kTop = 18, kPlot = 280, kFoot = 36, kSide = 60;
  Svg svg(kChartWidth, kTop + kPlot + kFoot, chart.title);
  std::vector<Scale> scales;
  std::vector<double> places;
  for (size_t a = 0; a < chart.axes.size(); ++a) {
    const auto [low, high] = padded_range(column(chart, a), false);
    scales.push_back({low, high, kTop + kPlot, kTop, false});
    places.push_back(kSide + (kChartWidth - 2 * kSide) * static_cast<double>(a) /
                                 static_cast<double>(std::max<size_t>(1, chart.axes.size() - 1)));
  }
  const auto [low, high] = plain_range(column(chart, chart.shade));
  svg.open("class=\"rows\"");
  for (size_t r = 0; r < chart.rows.size(); ++r) {
    const double value = chart.rows[r][chart.shade];
    const double t = high > low ? (value - low) / (high - low) : 0.5;
    std::vector<std::pair<double, double>> points;
    for (size_t a = 0; a < chart.axes.size(); ++a) {
      if (std::isfinite(chart.rows[r][a]))
        points.emplace_back(places[a], scales[a](chart.rows[r][a]));
    }
    svg.open(fmt::format("class=\"row\" style=\"--c:{}\"", ramp(t)));
    svg.path(points, "class=\"thin\"");
    // Of many rows the last axis alone has marks to point at.
    const size_t first = chart.rows.size() <= kMarkedRows || points.empty() ? 0 : points.size() - 1;
    for (size_t i = first; i < points.size(); ++i)
      svg.circle(points[i].first, points[i].second, 3, "class=\"mark\"", chart.labels[r]);
    svg.close();
  }
  svg.close();
  for (size_t a = 0; a < chart.axes.size(); ++a)
    parallel_axis(svg, chart.axes[a], scales[a], places[a], a + 1 == chart.axes.size() && a > 0);
  return svg.finish();
}

std::string draw(const HeatMap& chart) {
  constexpr double kLeft = 96, kTop = 14, kFoot = 48, kRow = 40;
  const auto columns = static_cast<double>(chart.x_names.size());
  const auto rows = static_cast<double>(chart.y_names.size());
  const double cell = std::min(96.0, (kChartWidth - kLeft - 20) / columns);
  Svg svg(kChartWidth, kTop + rows * kRow + kFoot, chart.title);
  std::vector<double> all;
  for (const auto& row : chart.values) all.insert(all.end(), row.begin(), row.end());
  const auto [low, high] = plain_range(all);
  for (size_t y = 0; y < chart.y_names.size(); ++y) {
    // Rows grow upwards, as on any axis.
    const double top = kTop + (rows - 1 - static_cast<double>(y)) * kRow;
    svg.text(kLeft - 8, top + kRow / 2 + 4, shortened(chart.y_names[y], 12), "end",
             "class=\"tick\"");
    for (size_t x = 0; x < chart.x_names.size(); ++x) {
      const double value = chart.values[y][x];
      if (!std::isfinite(value)) continue;
      const double left = kLeft + static_cast<double>(x) * cell;
      const double t = high > low ? (value - low) / (high - low) : 0.5;
      svg.open(fmt::format("class=\"cell\" style=\"--c:{}\"", ramp(t)));
      svg.rect(left + 1, top + 1, cell - 2, kRow - 2, "class=\"fill\" rx=\"3\"",
               fmt::format("{} = {}, {} = {}: {} {}", chart.x_label, chart.x_names[x],
                           chart.y_label, chart.y_names[y], chart.value_label, chart.texts[y][x]));
      if (static_cast<double>(chart.texts[y][x].size()) * kLetterWidth < cell)
        svg.text(left + cell / 2, top + kRow / 2 + 4, chart.texts[y][x], "middle");
      svg.close();
    }
  }
  for (size_t x = 0; x < chart.x_names.size(); ++x)
    svg.text(kLeft + (static_cast<double>(x) + 0.5) * cell, kTop + rows * kRow + 17,
             shortened(chart.x_names[x], 12), "middle", "class=\"tick\"");
  svg.text(kLeft + columns * cell / 2, kTop + rows * kRow + 38, chart.x_label, "middle");
  svg.text(0, 0, chart.y_label, "middle",
           fmt::format("transform=\"translate(17 {}) rotate(-90)\"",
                       coordinate(kTop + rows * kRow / 2)));
  return svg.finish();
}

std::string draw(const Bars& chart) {
  constexpr double kLeft = 190, kRight = 24, kTop = 10, kRow = 20, kFoot = 44;
  const double height = kTop + kRow * static_cast<double>(chart.bars.size());
  Svg svg(kChartWidth, height + kFoot, chart.title);
  std::vector<double> values = {0};
  for (const Bars::Bar& bar : chart.bars) values.push_back(bar.value);
  const auto [low, high] = padded_range(values, false);
  const Scale scale{low, high, kLeft, kChartWidth - kRight, false};
  for (const double value : ticks(scale, 7)) {
    svg.line(scale(value), kTop, scale(value), height, "class=\"grid\"");
    svg.text(scale(value), height + 16, tick_text(value), "middle", "class=\"tick\"");
  }
  for (size_t i = 0; i < chart.bars.size(); ++i) {
    const Bars::Bar& bar = chart.bars[i];
    const double top = kTop + kRow * static_cast<double>(i);
    const bool good = (bar.value > 0) == chart.higher_is_better;
    svg.text(kLeft - 8, top + 14, shortened(bar.name, 26), "end", "class=\"tick\"");
    svg.rect(std::min(scale(0), scale(bar.value)), top + 3, std::abs(scale(bar.value) - scale(0)),
             kRow - 6, good ? "class=\"up\"" : "class=\"down\"", bar.hover);
  }
  svg.line(scale(0), kTop, scale(0), height, "class=\"axis\"");
  svg.text((kLeft + kChartWidth - kRight) / 2, height + 36, chart.label, "middle");
  return svg.finish();
}

}  // namespace xp::report
