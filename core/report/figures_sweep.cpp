#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/report/chart.h"
#include "core/report/figures.h"
#include "core/report/grouping.h"
#include "core/report/lines.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

constexpr size_t kSweptKeys = 3, kMetrics = 4, kSeries = 8, kTickValues = 12;

std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

std::string axis_label(const Metric& metric) {
  const std::string_view unit = tracker::text(metric.unit);
  return unit.empty() || metric.unit == tracker::Unit::kFraction
             ? metric.name
             : fmt::format("{} ({})", metric.name, unit);
}

// Values over two decades of one sign are drawn on a logarithmic axis.
bool wide(const std::set<double>& values) {
  return values.size() > 2 && *values.begin() > 0 && *values.rbegin() / *values.begin() >= 50;
}

Axis key_axis(const Comparison& comparison, size_t key) {
  std::set<double> values;
  for (const Group& group : comparison.groups) {
    if (const auto value = number_of(group.values[key])) values.insert(*value);
  }
  Axis out{comparison.keys[key], wide(values), {}};
  if (values.size() <= kTickValues) out.ticks.assign(values.begin(), values.end());
  return out;
}

// One chart of `estimate(group, base of its series)` over a key.
template <class Value>
Chart chart_over(const Comparison& comparison, size_t key, const Value& value) {
  Chart chart;
  chart.x = key_axis(comparison, key);
  const std::vector<Line> all = lines_over(comparison, key);
  const bool joined = all.size() > kSeries;  // so many keys vary that a line would mean nothing
  for (const auto& [name, groups] : all) {
    if (!joined || chart.series.empty()) chart.series.push_back({name, {}});
    Series& series = chart.series.back();
    series.line = !joined && groups.size() > 1;
    for (const size_t g : groups) {
      const Estimate estimate = value(comparison.groups[g], comparison.groups[groups.front()]);
      if (estimate.n == 0) continue;
      series.points.push_back(
          {*number_of(comparison.groups[g].values[key]), estimate.mean, estimate.interval.low,
           estimate.interval.high,
           fmt::format("{}: {}", comparison.groups[g].label, estimate_text(estimate))});
    }
  }
  if (joined) chart.series.front().name = "";
  std::erase_if(chart.series, [](const Series& series) { return series.points.empty(); });
  return chart;
}

std::string bars_text(const Comparison& comparison, size_t metric) {
  bool seeds = false, clips = false;
  for (const Group& group : comparison.groups) {
    seeds = seeds || (group.estimates[metric].bounded() && !group.estimates[metric].of_clips);
    clips = clips || group.estimates[metric].of_clips;
  }
  if (seeds) return "Error bars: 95 % t interval of the mean over seeds.";
  if (clips) return "Error bars: 95 % interval over the clips or folds of the run; one seed.";
  return "One seed, no error bars.";
}

Figure metric_figure(const Comparison& comparison, size_t key, size_t metric) {
  Figure out;
  out.id = slug(comparison.metrics[metric].name) + "-over-" + slug(comparison.keys[key]);
  out.title = fmt::format("{} over {}", comparison.metrics[metric].name, comparison.keys[key]);
  out.caption = bars_text(comparison, metric);
  Chart chart = chart_over(
      comparison, key, [&](const Group& group, const Group&) { return group.estimates[metric]; });
  chart.id = out.id;
  chart.title = out.title;
  chart.y.label = axis_label(comparison.metrics[metric]);
  out.svg = draw(chart);
  return out;
}

// Rates against the base: seed by seed where seeds match, else of the means.
Estimate ratio(const Comparison& comparison, const Group& group, const Group& base,
               const std::string& metric) {
  std::map<std::string, double> by_seed;
  const std::vector<double> left = values_of(comparison, base, metric);
  for (size_t i = 0; i < left.size(); ++i) by_seed[comparison.seeds[base.runs[i]]] = left[i];
  std::vector<double> ratios;
  const std::vector<double> right = values_of(comparison, group, metric);
  for (size_t i = 0; i < right.size(); ++i) {
    const auto at = by_seed.find(comparison.seeds[group.runs[i]]);
    if (at != by_seed.end() && at->second > 0 && std::isfinite(right[i]))
      ratios.push_back(right[i] / at->second);
  }
  if (ratios.size() == right.size()) return estimate(ratios);
  const double mean = estimate(right).mean / estimate(left).mean;
  return std::isfinite(mean) ? estimate(std::vector<double>{mean}) : Estimate{};
}

Figure speed_figure(const Comparison& comparison, size_t key, size_t speed) {
  const std::string& name = comparison.keys[key];
  Figure out;
  out.id = "speedup-over-" + slug(name);
  double least = INFINITY;
  for (const Group& group : comparison.groups)
    least = std::min(least, number_of(group.values[key]).value_or(INFINITY));
  out.title = fmt::format("Speed-up over {}", name);
  out.caption = fmt::format("{} relative to {} = {}.", comparison.metrics[speed].name, name, least);
  Chart chart = chart_over(comparison, key, [&](const Group& group, const Group& base) {
    return ratio(comparison, group, base, comparison.metrics[speed].name);
  });
  chart.id = out.id;
  chart.title = out.title;
  chart.y.label = fmt::format("speed-up (times {} = {})", name, least);
  out.svg = draw(chart);
  return out;
}

bool is_number(const Comparison& comparison, size_t key) {
  std::set<double> values;
  for (const Group& group : comparison.groups) {
    if (const auto value = number_of(group.values[key])) values.insert(*value);
  }
  return values.size() > 1;
}

}  // namespace

std::vector<Figure> sweep_figures(const Comparison& comparison) {
  std::vector<Figure> out;
  size_t drawn = 0;
  for (size_t key = 0; key < comparison.keys.size() && drawn < kSweptKeys; ++key) {
    if (!is_number(comparison, key) || comparison.groups.size() < 3) continue;
    ++drawn;
    const size_t quality = comparison.quality(), speed = comparison.speed();
    if (quality != npos) out.push_back(metric_figure(comparison, key, quality));
    if (speed != npos) out.push_back(speed_figure(comparison, key, speed));
    size_t more = 0;
    for (size_t m = 0; m < comparison.metrics.size() && more < kMetrics && drawn == 1; ++m) {
      const Metric& metric = comparison.metrics[m];
      const bool varies = best_group(comparison, m) != npos;
      const bool same_stage =
          quality == npos || metric.name.substr(0, metric.name.find('.')) ==
                                 comparison.metrics[quality].name.substr(
                                     0, comparison.metrics[quality].name.find('.'));
      if (m == quality || !varies || !same_stage) continue;
      ++more;
      out.push_back(metric_figure(comparison, key, m));
    }
  }
  return out;
}

std::vector<Figure> asked_figures(const Comparison& comparison) {
  const Request& request = comparison.request;
  if (request.y.empty()) return {};
  const size_t y = comparison.find_metric(request.y);
  for (size_t key = 0; key < comparison.keys.size(); ++key) {
    if (comparison.keys[key] != request.x) continue;
    if (is_number(comparison, key)) return {metric_figure(comparison, key, y)};
    throw Error(fmt::format("'{}' has no numbers to draw over", request.x));
  }
  const size_t x = comparison.find_metric(request.x);
  if (x == npos) {
    std::set<std::string> known(comparison.keys.begin(), comparison.keys.end());
    for (const Metric& metric : comparison.metrics) known.insert(metric.name);
    const std::string guess = nearest(request.x, known);
    throw Error(fmt::format("'{}' does not differ between these runs, and is no metric of theirs{}",
                            request.x, did_you_mean(guess)));
  }
  Chart chart;
  chart.title = fmt::format("{} over {}", comparison.metrics[y].name, comparison.metrics[x].name);
  chart.id = slug(comparison.metrics[y].name) + "-over-" + slug(comparison.metrics[x].name);
  chart.x.label = axis_label(comparison.metrics[x]);
  chart.y.label = axis_label(comparison.metrics[y]);
  Series series;
  series.line = false;
  for (const Group& group : comparison.groups) {
    const Estimate &a = group.estimates[x], &b = group.estimates[y];
    if (a.known() && b.known())
      series.points.push_back(
          {a.mean, b.mean, b.interval.low, b.interval.high,
           fmt::format("{}: {} over {}", group.label, estimate_text(b), estimate_text(a))});
  }
  chart.series.push_back(std::move(series));
  return {{chart.id, chart.title, bars_text(comparison, y), draw(chart)}};
}

std::vector<Figure> make_figures(tracker::Query& query, const Comparison& comparison) {
  std::vector<Figure> out = asked_figures(comparison);
  const auto add = [&](std::vector<Figure> more) {
    for (Figure& figure : more) {
      const bool there = std::any_of(out.begin(), out.end(),
                                     [&](const Figure& held) { return held.id == figure.id; });
      if (!there) out.push_back(std::move(figure));
    }
  };
  add(sweep_figures(comparison));
  add(trade_figures(comparison));
  add(curve_figures(query, comparison));
  add(class_figures(query, comparison));
  return out;
}

}  // namespace xp::report
