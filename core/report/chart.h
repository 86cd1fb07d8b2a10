#pragma once

#include <string>
#include <vector>

#include "core/report/statistics.h"

namespace xp::report {

/// A place of a series. `y` may be NaN: it is then marked at the foot of the chart, where it
/// happened.
struct ChartPoint {
  double x = 0, y = 0;
  double low = kNaN, high = kNaN;  ///< an error bar, where both are numbers
  std::string label;               ///< shown on hover
  std::string text;                ///< written beside the mark; empty = nothing
  bool ring = false;               ///< drawn hollow
};

struct Series {
  std::string name;
  std::vector<ChartPoint> points;
  bool line = true, marks = true, dashed = false;
  double shade = kNaN;  ///< 0..1: a colour of the ramp; NaN = of the palette, by place
};

struct Axis {
  std::string label;
  bool log = false;
  std::vector<double> ticks;  ///< where to write values; empty = round ones
};

/// Series over one pair of axes. A legend is drawn for two series or more.
struct Chart {
  std::string id;     ///< letters and hyphens, its own within a page
  std::string title;  ///< read to those who do not see the picture
  Axis x, y;
  std::vector<Series> series;
};
std::string draw(const Chart& chart);

/// Lines over parallel axes, one a configuration.
struct ParallelAxis {
  std::string label;
  std::vector<std::string>
      names;  ///< of a key of words: value i is written names[i]; empty = numbers
};
struct Parallel {
  std::string id, title;
  std::vector<ParallelAxis> axes;
  std::vector<std::vector<double>> rows;  ///< a value an axis; NaN = absent
  std::vector<std::string> labels;        ///< one a row
  size_t shade = 0;                       ///< the axis whose value gives the colour
};
std::string draw(const Parallel& chart);

/// Cells of one number each over two keys.
struct HeatMap {
  std::string id, title;
  std::string x_label, y_label, value_label;
  std::vector<std::string> x_names, y_names;
  std::vector<std::vector<double>> values;      ///< [y][x]; NaN = nothing there
  std::vector<std::vector<std::string>> texts;  ///< written in the cells
};
std::string draw(const HeatMap& chart);

/// Differences to both sides of 0.
struct Bars {
  std::string id, title, label;
  struct Bar {
    std::string name;
    double value = 0;
    std::string hover;
  };
  std::vector<Bar> bars;
  bool higher_is_better = true;
};
std::string draw(const Bars& chart);

}  // namespace xp::report
