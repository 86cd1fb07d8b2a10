#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/report/chart.h"
#include "core/report/figures.h"
#include "core/report/pareto.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

constexpr size_t kLabelled = 16, kAxes = 8;

// The values alone where one key varies: what stands beside a point.
std::string short_label(const Group& group) {
  std::string out;
  for (const auto& value : group.values) out += (out.empty() ? "" : ", ") + value_text(value);
  return out.size() > 18 ? "" : out;
}

// A group as objectives that are all to be large.
std::vector<double> objectives(const Comparison& comparison, const Group& group,
                               const std::vector<size_t>& metrics) {
  std::vector<double> out;
  for (const size_t m : metrics) {
    const double value = group.estimates[m].mean;
    out.push_back(comparison.metrics[m].better == Better::kLower ? -value : value);
  }
  return out;
}

std::set<size_t> front_of(const Comparison& comparison, const std::vector<size_t>& metrics) {
  std::vector<std::vector<double>> points;
  for (const Group& group : comparison.groups)
    points.push_back(objectives(comparison, group, metrics));
  const std::vector<size_t> front = pareto_front(points);
  return {front.begin(), front.end()};
}

std::string names(const Comparison& comparison, const std::set<size_t>& groups) {
  std::string out;
  for (const size_t g : groups) {
    if (!out.empty()) out += "; ";
    out += comparison.groups[g].label;
    if (out.size() > 400) return out + "; ...";
  }
  return out;
}

void front_figure(const Comparison& comparison, std::vector<Figure>& out) {
  const size_t quality = comparison.quality(), speed = comparison.speed();
  if (quality == npos || speed == npos || comparison.groups.size() < 2) return;
  const std::set<size_t> front = front_of(comparison, {quality, speed});
  if (front.empty()) return;
  const size_t memory = comparison.find_metric("peak_mem_mb");
  std::set<size_t> by_memory;
  if (memory != npos) {
    for (const size_t g : front_of(comparison, {quality, speed, memory}))
      if (front.count(g) == 0) by_memory.insert(g);
  }
  Chart chart;
  chart.id = "pareto";
  chart.title = fmt::format("{} over throughput", leaf(comparison.metrics[quality].name));
  chart.x = {fmt::format("{} (1/s)", comparison.metrics[speed].name), false, {}};
  chart.y = {comparison.metrics[quality].name, false, {}};
  Series best{"on the front", {}, true, true, true}, held{"on it by memory", {}, false},
      rest{"beaten", {}, false};
  std::vector<size_t> order(front.begin(), front.end());
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return comparison.groups[a].estimates[speed].mean < comparison.groups[b].estimates[speed].mean;
  });
  for (size_t g = 0; g < comparison.groups.size(); ++g) {
    if (front.count(g) == 0) order.push_back(g);
  }
  for (const size_t g : order) {
    const Group& group = comparison.groups[g];
    const Estimate &x = group.estimates[speed], &y = group.estimates[quality];
    if (!x.known() || !y.known()) continue;
    std::string label =
        fmt::format("{}: {} {}, {} clips/s", group.label, leaf(comparison.metrics[quality].name),
                    estimate_text(y), estimate_text(x));
    if (memory != npos) label += fmt::format(", {} MiB", estimate_text(group.estimates[memory]));
    Series& series = front.count(g) != 0 ? best : by_memory.count(g) != 0 ? held : rest;
    series.points.push_back({x.mean, y.mean, y.interval.low, y.interval.high, std::move(label),
                             comparison.groups.size() <= kLabelled ? short_label(group) : "",
                             by_memory.count(g) != 0});
  }
  for (Series* series : {&best, &held, &rest}) {
    if (!series->points.empty()) chart.series.push_back(std::move(*series));
  }
  std::string caption =
      fmt::format("Pareto front of {} and throughput: {}.", leaf(comparison.metrics[quality].name),
                  names(comparison, front));
  if (!by_memory.empty())
    caption +=
        fmt::format(" With memory as a third objective also: {}.", names(comparison, by_memory));
  if (!comparison.selected_on_test.empty()) caption += " Selected on test.";
  out.push_back({chart.id, chart.title, std::move(caption), draw(chart)});
}

// The values of a key that occur, in the order of the groups.
std::vector<std::string> names_of(const Comparison& comparison, size_t key) {
  std::vector<std::pair<double, std::string>> found;
  std::set<std::string> seen;
  for (const Group& group : comparison.groups) {
    std::string text = value_text(group.values[key]);
    if (seen.insert(text).second)
      found.emplace_back(number_of(group.values[key]).value_or(INFINITY), std::move(text));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [number, text] : found) out.push_back(std::move(text));
  return out;
}

// The two keys with most values.
void heat_figure(const Comparison& comparison, std::vector<Figure>& out) {
  const size_t quality = comparison.quality();
  if (quality == npos || comparison.keys.size() < 2) return;
  std::vector<std::pair<size_t, size_t>> counts;
  for (size_t k = 0; k < comparison.keys.size(); ++k)
    counts.emplace_back(names_of(comparison, k).size(), k);
  std::stable_sort(counts.begin(), counts.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  const size_t x_key = counts[0].second, y_key = counts[1].second;
  HeatMap map;
  map.x_names = names_of(comparison, x_key);
  map.y_names = names_of(comparison, y_key);
  if (map.x_names.size() > 24 || map.y_names.size() > 24) return;
  // Cells that are mostly empty show no interaction.
  if (comparison.groups.size() * 2 < map.x_names.size() * map.y_names.size()) return;
  std::map<std::pair<size_t, size_t>, std::vector<double>> cells;
  for (const Group& group : comparison.groups) {
    const auto place = [](const std::vector<std::string>& all, const std::string& name) {
      return static_cast<size_t>(std::find(all.begin(), all.end(), name) - all.begin());
    };
    if (group.estimates[quality].known())
      cells[{place(map.y_names, value_text(group.values[y_key])),
             place(map.x_names, value_text(group.values[x_key]))}]
          .push_back(group.estimates[quality].mean);
  }
  map.values.assign(map.y_names.size(), std::vector<double>(map.x_names.size(), kNaN));
  map.texts.assign(map.y_names.size(), std::vector<std::string>(map.x_names.size()));
  for (const auto& [place, values] : cells) {
    const double mean = estimate(values).mean;
    map.values[place.first][place.second] = mean;
    map.texts[place.first][place.second] = number_text(mean, 0.01);
  }
  map.id = "interaction";
  map.x_label = comparison.keys[x_key];
  map.y_label = comparison.keys[y_key];
  map.value_label = comparison.metrics[quality].name;
  map.title = fmt::format("{} by {} and {}", map.value_label, map.x_label, map.y_label);
  std::string caption = fmt::format("Mean {} of each pair.", map.value_label);
  if (comparison.keys.size() > 2) caption += " The other keys are averaged over.";
  out.push_back({map.id, map.title, std::move(caption), draw(map)});
}

void parallel_figure(const Comparison& comparison, std::vector<Figure>& out) {
  const size_t quality = comparison.quality(), speed = comparison.speed();
  if (quality == npos || comparison.groups.size() < 3 || comparison.keys.size() < 2) return;
  Parallel chart;
  chart.rows.resize(comparison.groups.size());
  for (const Group& group : comparison.groups) chart.labels.push_back(group.label);
  const size_t metrics = speed == npos ? 1 : 2;
  for (size_t k = 0; k < std::min(comparison.keys.size(), kAxes - metrics); ++k) {
    ParallelAxis axis{comparison.keys[k], {}};
    const bool numbers = std::all_of(
        comparison.groups.begin(), comparison.groups.end(),
        [&](const Group& group) { return !group.values[k] || number_of(group.values[k]); });
    if (!numbers) axis.names = names_of(comparison, k);
    for (size_t g = 0; g < comparison.groups.size(); ++g) {
      const auto& value = comparison.groups[g].values[k];
      const auto at = std::find(axis.names.begin(), axis.names.end(), value_text(value));
      chart.rows[g].push_back(numbers ? number_of(value).value_or(kNaN)
                                      : static_cast<double>(at - axis.names.begin()));
    }
    chart.axes.push_back(std::move(axis));
  }
  for (const size_t m : {speed, quality}) {
    if (m == npos) continue;
    chart.axes.push_back({comparison.metrics[m].name, {}});
    for (size_t g = 0; g < comparison.groups.size(); ++g)
      chart.rows[g].push_back(comparison.groups[g].estimates[m].mean);
  }
  chart.shade = chart.axes.size() - 1;
  for (size_t g = 0; g < chart.labels.size(); ++g)
    chart.labels[g] += fmt::format(": {} {}", comparison.metrics[quality].name,
                                   estimate_text(comparison.groups[g].estimates[quality]));
  chart.id = "parallel";
  chart.title = "Parallel coordinates";
  out.push_back({chart.id, chart.title,
                 fmt::format("One line a configuration, coloured by {} from blue (least) to orange "
                             "(greatest).",
                             comparison.metrics[quality].name),
                 draw(chart)});
}

}  // namespace

std::vector<Figure> trade_figures(const Comparison& comparison) {
  std::vector<Figure> out;
  front_figure(comparison, out);
  heat_figure(comparison, out);
  parallel_figure(comparison, out);
  return out;
}

}  // namespace xp::report
