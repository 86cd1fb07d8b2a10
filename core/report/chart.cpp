#include "core/report/chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/report/scale.h"
#include "core/report/svg.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

constexpr double kMarginLeft = 72, kMarginRight = 20, kMarginTop = 14, kPlotHeight = 300,
                 kMarginBottom = 48;
constexpr double kKeyHeight = 20;
constexpr int kXTicks = 8, kYTicks = 6;
constexpr size_t kPalette = 8;

std::string colour(const Series& series, size_t place) {
  if (std::isnan(series.shade)) return fmt::format("s{}\"", place % kPalette);
  return fmt::format("\" style=\"--c:{}\"", ramp(series.shade));
}

// Where each entry of the legend begins, and how many rows it takes.
struct Legend {
  std::vector<std::pair<double, double>> places;
  double height = 0;
};

Legend lay_out(const std::vector<Series>& series, double top) {
  Legend out;
  if (series.size() < 2) return out;
  double x = kMarginLeft, y = top;
  for (const Series& one : series) {
    const double width = 34 + static_cast<double>(count_letters(one.name)) * kLetterWidth;
    if (x > kMarginLeft && x + width > kChartWidth - kMarginRight) {
      x = kMarginLeft;
      y += kKeyHeight;
    }
    out.places.emplace_back(x, y);
    x += width;
  }
  out.height = y + kKeyHeight - top;
  return out;
}

struct Box {
  double left, top, right, bottom;
  bool meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

class Drawing {
 public:
  explicit Drawing(const Chart& chart)
      : chart_(chart),
        legend_(lay_out(chart.series, kMarginTop + kPlotHeight + kMarginBottom)),
        x_(scale(chart.x, kMarginLeft, kChartWidth - kMarginRight, true)),
        y_(scale(chart.y, kMarginTop + kPlotHeight, kMarginTop, false)),
        svg_(kChartWidth, kMarginTop + kPlotHeight + kMarginBottom + legend_.height, chart.title,
             fmt::format("data-plot=\"{} {} {} {}\" data-x=\"{} {} {}\" data-y=\"{} {} {}\"",
                         coordinate(kMarginLeft), coordinate(kMarginTop),
                         coordinate(kChartWidth - kMarginRight - kMarginLeft),
                         coordinate(kPlotHeight), x_.low, x_.high, x_.log ? 1 : 0, y_.low, y_.high,
                         y_.log ? 1 : 0)) {}

  std::string draw() {
    axes();
    svg_.open(fmt::format("class=\"plot\" clip-path=\"url(#{}-clip)\"", chart_.id));
    svg_.open("class=\"moves\"");
    take_marks();
    for (size_t i = 0; i < chart_.series.size(); ++i) one(chart_.series[i], i);
    svg_.close();
    svg_.close();
    keys();
    std::string out = svg_.finish();
    const std::string clip = fmt::format(
        "<clipPath id=\"{}-clip\"><rect x=\"{}\" y=\"{}\" width=\"{}\" "
        "height=\"{}\"/></clipPath>\n",
        chart_.id, coordinate(kMarginLeft - 6), coordinate(kMarginTop - 6),
        coordinate(kChartWidth - kMarginRight - kMarginLeft + 12), coordinate(kPlotHeight + 12));
    return out.insert(out.find('\n') + 1, clip);
  }

 private:
  Scale scale(const Axis& axis, double begin, double end, bool of_x) const {
    std::vector<double> values;
    for (const Series& series : chart_.series) {
      for (const ChartPoint& point : series.points) {
        values.push_back(of_x ? point.x : point.y);
        if (of_x) continue;
        values.push_back(point.low);
        values.push_back(point.high);
      }
    }
    const auto [low, high] = padded_range(values, axis.log);
    return {low, high, begin, end, axis.log};
  }

  void axes() {
    svg_.open("class=\"ticks\"");
    const double foot = kMarginTop + kPlotHeight;
    for (const double value : ticks(y_, kYTicks)) {
      svg_.line(kMarginLeft, y_(value), kChartWidth - kMarginRight, y_(value), "class=\"grid\"");
      svg_.text(kMarginLeft - 8, y_(value) + 4, tick_text(value), "end", "class=\"tick\"");
    }
    for (const double value : chart_.x.ticks.empty() ? ticks(x_, kXTicks) : chart_.x.ticks) {
      svg_.line(x_(value), kMarginTop, x_(value), foot, "class=\"grid\"");
      svg_.text(x_(value), foot + 17, tick_text(value), "middle", "class=\"tick\"");
    }
    svg_.close();
    svg_.line(kMarginLeft, foot, kChartWidth - kMarginRight, foot, "class=\"axis\"");
    svg_.line(kMarginLeft, kMarginTop, kMarginLeft, foot, "class=\"axis\"");
    svg_.text((kMarginLeft + kChartWidth - kMarginRight) / 2, foot + 37, chart_.x.label, "middle");
    svg_.text(0, 0, chart_.y.label, "middle",
              fmt::format("transform=\"translate(17 {}) rotate(-90)\"",
                          coordinate(kMarginTop + kPlotHeight / 2)));
  }

  void one(const Series& series, size_t place) {
    svg_.open(fmt::format("data-s=\"{}\" class=\"series {}", place, colour(series, place)));
    if (series.line) lines(series);
    for (const ChartPoint& point : series.points) {
      if (!std::isfinite(point.y)) {
        lost(point);
        continue;
      }
      const double x = x_(point.x), y = y_(point.y);
      if (std::isfinite(point.low) && std::isfinite(point.high) && point.low != point.high) {
        svg_.line(x, y_(point.low), x, y_(point.high), "class=\"bar\"");
        for (const double end : {point.low, point.high})
          svg_.line(x - 4, y_(end), x + 4, y_(end), "class=\"bar cap\"");
      }
      if (series.marks)
        svg_.circle(x, y, 4, point.ring ? "class=\"ring\"" : "class=\"mark\"", point.label);
      if (!point.text.empty()) label(point.text, x, y);
    }
    svg_.close();
  }

  // Beside the mark, in the first of four places that is free of marks and other labels; where
  // none is, hovering alone tells it.
  void label(const std::string& text, double x, double y) {
    const double width = static_cast<double>(count_letters(text)) * kLetterWidth;
    for (const auto& [side, down] :
         {std::pair{7.0, -7.0}, {-7.0, -7.0}, {7.0, 15.0}, {-7.0, 15.0}}) {
      const Box box{side > 0 ? x + side : x + side - width, y + down - 10,
                    side > 0 ? x + side + width : x + side, y + down + 2};
      const bool inside = box.left >= kMarginLeft && box.right <= kChartWidth - kMarginRight &&
                          box.top >= kMarginTop - 6 && box.bottom <= kMarginTop + kPlotHeight;
      if (!inside || std::any_of(taken_.begin(), taken_.end(),
                                 [&](const Box& other) { return box.meets(other); }))
        continue;
      taken_.push_back(box);
      svg_.text(x + side, y + down, text, side > 0 ? "start" : "end",
                fmt::format("class=\"label\" data-down=\"{}\"", coordinate(down)));
      return;
    }
  }

  // The marks of every series: labels keep off them.
  void take_marks() {
    for (const Series& series : chart_.series) {
      if (!series.marks) continue;
      for (const ChartPoint& point : series.points) {
        if (!std::isfinite(point.y)) continue;
        const double x = x_(point.x), y = y_(point.y);
        taken_.push_back({x - 4, y - 4, x + 4, y + 4});
      }
    }
  }

  // A line breaks where there is no number.
  void lines(const Series& series) {
    const std::string style =
        fmt::format("class=\"{}{}\"", series.marks ? "line" : "thin", series.dashed ? " dash" : "");
    std::vector<std::pair<double, double>> part;
    const auto flush = [&] {
      if (part.size() > 1) svg_.path(part, style);
      part.clear();
    };
    for (const ChartPoint& point : series.points) {
      if (std::isfinite(point.y)) {
        part.emplace_back(x_(point.x), y_(point.y));
      } else {
        flush();
      }
    }
    flush();
  }

  void lost(const ChartPoint& point) {
    const double x = x_(point.x), y = kMarginTop + kPlotHeight - 7;
    svg_.open("class=\"lost\"");
    svg_.line(x - 4, y - 4, x + 4, y + 4, "class=\"nan\"");
    svg_.line(x - 4, y + 4, x + 4, y - 4, "class=\"nan\"");
    svg_.circle(x, y, 5, "fill-opacity=\"0\"", point.label);
    svg_.close();
  }

  void keys() {
    for (size_t i = 0; i < legend_.places.size(); ++i) {
      const auto [x, y] = legend_.places[i];
      const Series& series = chart_.series[i];
      svg_.open(fmt::format("data-s=\"{}\" class=\"key {}", i, colour(series, i)));
      if (series.line)
        svg_.line(x, y + 10, x + 18, y + 10,
                  series.dashed ? "class=\"line dash\"" : "class=\"line\"");
      if (series.marks) svg_.circle(x + 9, y + 10, 4, "class=\"mark\"", "");
      svg_.text(x + 23, y + 14, series.name, "start", "class=\"label\"");
      svg_.close();
    }
  }

  const Chart& chart_;
  Legend legend_;
  Scale x_, y_;
  Svg svg_;
  std::vector<Box> taken_;  // by marks and labels
};

}  // namespace

std::string draw(const Chart& chart) { return Drawing(chart).draw(); }

}  // namespace xp::report
