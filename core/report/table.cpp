#include "core/report/table.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/report/lines.h"

namespace xp::report {
namespace {

constexpr size_t kSideBySide = 3;

size_t shown_metrics(const Comparison& comparison, size_t limit) {
  return limit == 0 ? comparison.metrics.size() : std::min(limit, comparison.metrics.size());
}

bool several_seeds(const Comparison& comparison) {
  return std::any_of(comparison.groups.begin(), comparison.groups.end(),
                     [](const Group& group) { return group.runs.size() > 1; });
}

std::string head_of(const Group& group, bool seeds) {
  return seeds ? fmt::format("{} (n = {})", group.label, group.runs.size()) : group.label;
}

Table key_table(const Comparison& comparison) {
  Table out;
  out.caption = "what differs";
  out.head = {"key"};
  const bool seeds = several_seeds(comparison);
  for (const Group& group : comparison.groups) {
    out.head.push_back(seeds ? fmt::format("{} runs", group.runs.size())
                             : comparison.runs[group.runs.front()].uid.substr(18));
  }
  for (size_t k = 0; k < comparison.keys.size(); ++k) {
    auto& row = out.rows.emplace_back();
    row.push_back({comparison.keys[k], false});
    for (const Group& group : comparison.groups)
      row.push_back({value_text(group.values[k]), false});
  }
  return out;
}

Table side_by_side(const Comparison& comparison, size_t limit) {
  Table out;
  out.caption = "metrics";
  out.head = {"metric"};
  const bool seeds = several_seeds(comparison);
  for (const Group& group : comparison.groups) out.head.push_back(head_of(group, seeds));
  const size_t n = comparison.groups.size();
  for (size_t g = 1; g < n; ++g)
    out.head.push_back(n == 2 ? "difference"
                              : fmt::format("{} against the first", comparison.groups[g].label));
  for (size_t m = 0; m < shown_metrics(comparison, limit); ++m) {
    const size_t best = best_group(comparison, m);
    auto& row = out.rows.emplace_back();
    row.push_back({comparison.metrics[m].name, false});
    for (size_t g = 0; g < n; ++g)
      row.push_back({estimate_text(comparison.groups[g].estimates[m]), g == best});
    for (size_t g = 1; g < n; ++g)
      row.push_back({contrast_text(comparison.groups[g].contrasts[m]), false});
  }
  return out;
}

Table row_each(const Comparison& comparison, size_t limit) {
  Table out;
  out.caption = "metrics";
  out.labels = comparison.keys.size();
  out.head = comparison.keys;
  const bool seeds = several_seeds(comparison);
  if (seeds) out.head.emplace_back("n");
  const size_t metrics = shown_metrics(comparison, limit);
  for (size_t m = 0; m < metrics; ++m) out.head.push_back(comparison.metrics[m].name);
  for (size_t g = 0; g < comparison.groups.size(); ++g) {
    const Group& group = comparison.groups[g];
    auto& row = out.rows.emplace_back();
    for (const auto& value : group.values) row.push_back({value_text(value), false});
    if (seeds) row.push_back({fmt::format("{}", group.runs.size()), false});
    for (size_t m = 0; m < metrics; ++m) {
      std::string text = estimate_text(group.estimates[m]);
      const Contrast& contrast = group.contrasts[m];
      if (g > 0 && contrast.kind != Contrast::Kind::kNone) {
        const double scale = contrast.bounded()
                                 ? (contrast.interval.high - contrast.interval.low) / 4
                                 : group.estimates[m].deviation;
        const std::string number = number_text(contrast.difference, scale);
        text += fmt::format(" ({}{})", contrast.difference >= 0 ? "+" : "", number);
      }
      row.push_back({std::move(text), best_group(comparison, m) == g});
    }
  }
  return out;
}

// The metrics that tables of token merging with and without a teacher are made of.
std::vector<size_t> crossing_metrics(const Comparison& comparison) {
  std::vector<size_t> out;
  const size_t quality = comparison.quality();
  if (quality == npos) return out;
  const std::string& name = comparison.metrics[quality].name;
  const std::string stage = name.substr(0, name.size() - leaf(name).size());
  for (const std::string_view want :
       {"acc", "mAP", "auc", "loss", "clips_per_s", "seconds", "epoch_s"}) {
    size_t at = comparison.find_metric(stage + std::string(want));
    if (at == npos) at = comparison.find_metric(want);
    if (at != npos) out.push_back(at);
  }
  return out;
}

Table crossing_table(const Comparison& comparison, const Crossing& crossing) {
  Table out;
  const std::vector<size_t> metrics = crossing_metrics(comparison);
  out.caption = "by " + comparison.keys[crossing.key];
  out.head = {comparison.keys[crossing.key]};
  std::map<double, std::vector<size_t>> rows;  // value -> the group of each line
  for (size_t i = 0; i < crossing.lines.size(); ++i) {
    out.spans.emplace_back(crossing.lines[i].name, metrics.size());
    for (const size_t m : metrics) out.head.emplace_back(leaf(comparison.metrics[m].name));
    for (const size_t g : crossing.lines[i].groups) {
      auto& row = rows[*number_of(comparison.groups[g].values[crossing.key])];
      row.resize(crossing.lines.size(), npos);
      row[i] = g;
    }
  }
  for (const auto& [value, groups] : rows) {
    auto& row = out.rows.emplace_back();
    const size_t any =
        *std::find_if(groups.begin(), groups.end(), [](size_t g) { return g != npos; });
    row.push_back({value_text(comparison.groups[any].values[crossing.key]), false});
    for (const size_t g : groups) {
      for (const size_t m : metrics)
        row.push_back({g == npos ? "-" : estimate_text(comparison.groups[g].estimates[m]),
                       g != npos && best_group(comparison, m) == g});
    }
  }
  return out;
}

}  // namespace

size_t count_letters(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string value_text(const std::optional<tracker::Value>& value) {
  return value ? tracker::to_text(*value) : "-";
}

std::string number_text(double value, double deviation) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (!(deviation > 0) || std::isinf(deviation)) {
    const std::string out = fmt::format("{:.4g}", value);
    return out == "-0" ? "0" : out;
  }
  const int digits = std::clamp(1 - static_cast<int>(std::floor(std::log10(deviation))), 0, 9);
  std::string out = fmt::format("{:.{}f}", value, digits);
  if (out.starts_with("-") && out.find_first_not_of("-0.") == std::string::npos) out.erase(0, 1);
  return out;
}

std::string estimate_text(const Estimate& estimate) {
  if (estimate.n == 0) return "-";
  if (estimate.of_clips && estimate.bounded()) {
    const double scale = (estimate.interval.high - estimate.interval.low) / 4;
    return fmt::format("{} [{}, {}]", number_text(estimate.mean, scale),
                       number_text(estimate.interval.low, scale),
                       number_text(estimate.interval.high, scale));
  }
  if (estimate.n < 2) return number_text(estimate.mean);
  return fmt::format("{} ± {}", number_text(estimate.mean, estimate.deviation),
                     number_text(estimate.deviation, estimate.deviation));
}

std::string contrast_text(const Contrast& contrast) {
  if (contrast.kind == Contrast::Kind::kNone) return "";
  const double scale =
      contrast.bounded() ? (contrast.interval.high - contrast.interval.low) / 4 : kNaN;
  const std::string sign = contrast.difference >= 0 ? "+" : "";
  std::string out = sign + number_text(contrast.difference, scale);
  if (contrast.bounded() && contrast.interval.low != contrast.interval.high) {
    out += fmt::format(" [{}, {}]", number_text(contrast.interval.low, scale),
                       number_text(contrast.interval.high, scale));
  }
  return out;
}

size_t best_group(const Comparison& comparison, size_t metric) {
  const Better direction = comparison.metrics[metric].better;
  if (direction == Better::kUnknown) return npos;
  size_t best = npos;
  bool differ = false;
  for (size_t g = 0; g < comparison.groups.size(); ++g) {
    const Estimate& estimate = comparison.groups[g].estimates[metric];
    if (!estimate.known()) continue;
    if (best == npos) {
      best = g;
      continue;
    }
    const double held = comparison.groups[best].estimates[metric].mean;
    differ = differ || estimate.mean != held;
    if (direction == Better::kHigher ? estimate.mean > held : estimate.mean < held) best = g;
  }
  return differ ? best : npos;
}

std::vector<Table> make_tables(const Comparison& comparison, size_t metrics) {
  std::vector<Table> out;
  const bool few = comparison.groups.size() <= kSideBySide || comparison.same();
  if (few && !comparison.same()) out.push_back(key_table(comparison));
  if (!comparison.metrics.empty())
    out.push_back(few ? side_by_side(comparison, metrics) : row_each(comparison, metrics));
  if (const auto crossing = crossing_of(comparison); crossing && comparison.quality() != npos)
    out.push_back(crossing_table(comparison, *crossing));
  return out;
}

}  // namespace xp::report
