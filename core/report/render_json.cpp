#include <nlohmann/json.hpp>

#include "core/report/grouping.h"
#include "core/report/render.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

using nlohmann::ordered_json;

// JSON has no NaN: null where there is no number.
ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

ordered_json value_json(const std::optional<tracker::Value>& value) {
  if (!value) return nullptr;
  return ordered_json::parse(tracker::to_json(*value), nullptr, false);
}

const char* kind_text(Contrast::Kind kind) {
  switch (kind) {
    case Contrast::Kind::kNone:
      return "none";
    case Contrast::Kind::kPlain:
      return "plain";
    case Contrast::Kind::kClips:
      return "clips";
    case Contrast::Kind::kPaired:
      return "paired";
    case Contrast::Kind::kUnpaired:
      return "unpaired";
  }
  return "";
}

ordered_json estimate_json(const Estimate& e) {
  return {{"mean", number(e.mean)},
          {"std", number(e.deviation)},
          {"lo", number(e.interval.low)},
          {"hi", number(e.interval.high)},
          {"n", e.n},
          {"interval_over", e.of_clips ? "clips" : "seeds"}};
}

ordered_json contrast_json(const Contrast& c) {
  return {{"kind", kind_text(c.kind)},
          {"difference", number(c.difference)},
          {"lo", number(c.interval.low)},
          {"hi", number(c.interval.high)},
          {"p", number(c.p)},
          {"n", c.n}};
}

}  // namespace

std::string render_json(const Comparison& comparison) {
  const Preface head = preface(comparison);
  ordered_json out = {{"title", head.title},
                      {"words", head.words},
                      {"keys", comparison.keys},
                      {"metrics", ordered_json::array()},
                      {"groups", ordered_json::array()},
                      {"runs", ordered_json::array()},
                      {"notes", head.notes},
                      {"selected_on_test", !comparison.selected_on_test.empty()},
                      {"query", ordered_json::parse(query_json(comparison))}};
  for (const Metric& metric : comparison.metrics) {
    out["metrics"].push_back({{"name", metric.name},
                              {"unit", tracker::text(metric.unit)},
                              {"better", metric.better == Better::kHigher  ? "higher"
                                         : metric.better == Better::kLower ? "lower"
                                                                           : "unknown"}});
  }
  for (const Group& group : comparison.groups) {
    ordered_json item = {{"label", group.label},
                         {"values", ordered_json::object()},
                         {"runs", ordered_json::array()},
                         {"metrics", ordered_json::object()},
                         {"against_first", ordered_json::object()}};
    for (size_t k = 0; k < comparison.keys.size(); ++k)
      item["values"][comparison.keys[k]] = value_json(group.values[k]);
    for (const size_t run : group.runs) item["runs"].push_back(comparison.runs[run].uid);
    for (size_t m = 0; m < comparison.metrics.size(); ++m) {
      item["metrics"][comparison.metrics[m].name] = estimate_json(group.estimates[m]);
      item["against_first"][comparison.metrics[m].name] = contrast_json(group.contrasts[m]);
    }
    out["groups"].push_back(std::move(item));
  }
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    const tracker::RunInfo& run = comparison.runs[i];
    ordered_json values = ordered_json::object();
    for (const Metric& metric : comparison.metrics) {
      const auto value = value_of_metric(run, metric.name);
      values[metric.name] = value ? number(*value) : nullptr;
    }
    out["runs"].push_back({{"uid", run.uid},
                           {"name", run.name},
                           {"status", tracker::text(run.status)},
                           {"seed", comparison.seeds[i]},
                           {"metrics", values}});
  }
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace xp::report
