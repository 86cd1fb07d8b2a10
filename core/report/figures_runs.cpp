// The figures that read more of the runs than their last values.
#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "core/report/chart.h"
#include "core/report/downsample.h"
#include "core/report/figures.h"
#include "core/report/grouping.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

constexpr size_t kCurves = 12, kColumns = 300, kCharts = 4, kBars = 24;

// Groups at even distances, the first and the last among them.
std::vector<size_t> spread(size_t groups, size_t most) {
  std::vector<size_t> out;
  const size_t n = std::min(groups, most);
  for (size_t i = 0; i < n; ++i) out.push_back(n == 1 ? 0 : i * (groups - 1) / (n - 1));
  return out;
}

// Losses and validation scores that some run has a curve of, at most kCharts.
std::vector<std::string> curve_names(const Comparison& comparison) {
  std::set<std::string> all;
  for (const tracker::RunInfo& run : comparison.runs) {
    for (const auto& [name, summary] : run.metrics) {
      const bool curve =
          summary.grain == tracker::Grain::kStep || summary.grain == tracker::Grain::kEpoch;
      if (curve && summary.n > 1) all.insert(name);
    }
  }
  std::vector<std::string> out;
  for (const std::string_view end : {"train.loss", "val.mAP", "val.acc", "val.loss"}) {
    for (const std::string& name : all) {
      const bool of_student = !name.starts_with("teacher.");
      if (of_student && out.size() < kCharts &&
          (name == end || name.ends_with("." + std::string(end))))
        out.push_back(name);
    }
  }
  return out;
}

Series curve_series(const tracker::Curve& curve) {
  std::vector<XY> points;
  for (const tracker::Point& point : curve.points)
    points.push_back({static_cast<double>(point.step), point.value});
  Series out;
  out.marks = curve.points.size() <= 40;
  const char* what = curve.grain == tracker::Grain::kEpoch ? "epoch" : "step";
  for (const XY& point : downsample(points, kColumns)) {
    out.points.push_back({point.x, point.y, kNaN, kNaN,
                          fmt::format("{} at {} {}", number_text(point.y), what, point.x)});
  }
  return out;
}

bool same_points(const Series& a, const Series& b) {
  return std::equal(a.points.begin(), a.points.end(), b.points.begin(), b.points.end(),
                    [](const ChartPoint& p, const ChartPoint& q) {
                      const bool equal = p.y == q.y || (std::isnan(p.y) && std::isnan(q.y));
                      return p.x == q.x && equal;
                    });
}

Figure curve_figure(tracker::Query& query, const Comparison& comparison, const std::string& name) {
  Chart chart;
  bool same = true, reused = false, nan = false;
  tracker::Grain grain = tracker::Grain::kStep;
  const std::vector<size_t> shown = spread(comparison.groups.size(), kCurves);
  for (const size_t g : shown) {
    const Group& group = comparison.groups[g];
    const tracker::Curve curve = query.curve(comparison.runs[group.runs.front()].uid, name);
    if (curve.points.empty()) continue;
    grain = curve.grain;
    reused = reused || curve.reused;
    Series series = curve_series(curve);
    series.name = group.label;
    if (comparison.groups.size() > 4 && comparison.keys.size() == 1)
      series.shade = static_cast<double>(g) / static_cast<double>(comparison.groups.size() - 1);
    for (ChartPoint& point : series.points) {
      point.label = series.name + ": " + point.label;
      nan = nan || !std::isfinite(point.y);
    }
    if (!chart.series.empty()) same = same && same_points(chart.series.front(), series);
    chart.series.push_back(std::move(series));
  }
  Figure out;
  out.id = "curve-";
  for (const char c : name) out.id += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  out.title = chart.title = name;
  chart.id = out.id;
  if (same && chart.series.size() > 1) {
    chart.series.resize(1);
    chart.series.front().name = "all";
    chart.series.front().shade = kNaN;
    out.caption = "The same curve in all configurations: they share this stage.";
  } else {
    out.caption = comparison.runs.size() > comparison.groups.size()
                      ? "The first seed of each configuration."
                      : "";
    if (shown.size() < comparison.groups.size())
      out.caption +=
          fmt::format(" {} of {} configurations.", shown.size(), comparison.groups.size());
  }
  if (reused) out.caption += " From the cache: computed by an earlier run.";
  if (nan) out.caption += " A red cross marks where the value was not a number.";
  chart.x.label = grain == tracker::Grain::kEpoch ? "epochs" : "steps";
  chart.y.label = name;
  if (!chart.series.empty()) out.svg = draw(chart);
  return out;
}

}  // namespace

std::vector<Figure> curve_figures(tracker::Query& query, const Comparison& comparison) {
  std::vector<Figure> out;
  for (const std::string& name : curve_names(comparison)) {
    Figure figure = curve_figure(query, comparison, name);
    if (!figure.svg.empty()) out.push_back(std::move(figure));
  }
  return out;
}

std::vector<Figure> class_figures(tracker::Query& query, const Comparison& comparison) {
  if (comparison.groups.size() < 2) return {};
  const Group& base = comparison.groups.front();
  const Group& other = comparison.groups.back();
  std::vector<std::string> keys, left, right;
  for (std::string& key : query.keys()) {
    if (leaf(key).starts_with("ap/")) keys.push_back(std::move(key));
  }
  if (keys.empty()) return {};
  // The stage that the report is about: a recipe may evaluate more than once.
  const size_t quality = comparison.quality();
  if (quality != npos) {
    const std::string& name = comparison.metrics[quality].name;
    const std::string stage = name.substr(0, name.size() - leaf(name).size()) + "ap/";
    if (std::any_of(keys.begin(), keys.end(), [&](const auto& k) { return k.starts_with(stage); }))
      std::erase_if(keys, [&](const std::string& key) { return !key.starts_with(stage); });
  }
  for (const size_t run : base.runs) left.push_back(comparison.runs[run].uid);
  for (const size_t run : other.runs) right.push_back(comparison.runs[run].uid);
  const auto a = query.runs({.uids = left, .keys = keys}),
             b = query.runs({.uids = right, .keys = keys});
  const auto mean = [](const std::vector<tracker::RunInfo>& runs, const std::string& key) {
    std::vector<double> values;
    for (const tracker::RunInfo& run : runs) {
      const auto value = value_of_metric(run, key);
      if (value && std::isfinite(*value)) values.push_back(*value);
    }
    return estimate(values);
  };
  Bars chart;
  for (const std::string& key : keys) {
    const Estimate x = mean(a, key), y = mean(b, key);
    if (!x.known() || !y.known()) continue;
    const std::string name = key.substr(key.find("ap/") + 3);
    chart.bars.push_back(
        {name, y.mean - x.mean,
         fmt::format("{}: AP {} to {}", name, estimate_text(x), estimate_text(y))});
  }
  if (chart.bars.empty()) return {};
  const size_t classes = chart.bars.size();
  std::stable_sort(chart.bars.begin(), chart.bars.end(), [](const auto& p, const auto& q) {
    return std::abs(p.value) > std::abs(q.value);
  });
  if (chart.bars.size() > kBars) chart.bars.resize(kBars);
  std::stable_sort(chart.bars.begin(), chart.bars.end(),
                   [](const auto& p, const auto& q) { return p.value < q.value; });
  chart.id = "classes";
  chart.title = "Average precision by class";
  chart.label = fmt::format("AP of {} minus AP of {}", other.label, base.label);
  std::string caption = "Means over seeds.";
  if (classes > kBars)
    caption += fmt::format(" The {} classes of {} that differ most.", kBars, classes);
  return {{chart.id, chart.title, std::move(caption), draw(chart)}};
}

}  // namespace xp::report
