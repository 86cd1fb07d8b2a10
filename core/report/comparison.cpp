#include "core/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/report/grouping.h"
#include "core/report/selection.h"
#include "core/report/timing.h"

namespace xp::report {
namespace {

using tracker::RunInfo;

// The evaluation before variants of it, before what they are measured against.
int stage_rank(std::string_view name) {
  const std::string_view stage = name.substr(0, name.find('.'));
  if (stage == "eval") return 0;
  if (stage.starts_with("eval")) return 1;
  return stage.starts_with("baseline") || stage.starts_with("teach") ? 3 : 2;
}

// Every metric of the runs, those that matter most first.
std::vector<Metric> all_metrics(const std::vector<RunInfo>& runs) {
  std::map<std::string, Metric> found;
  for (const RunInfo& run : runs) {
    for (const auto& [name, summary] : run.metrics) {
      if (summary.grain == tracker::Grain::kTime) continue;
      found.try_emplace(name, Metric{name, summary.unit, summary.grain, metric::better(name)});
    }
  }
  std::vector<Metric> out;
  for (auto& [name, metric] : found) out.push_back(std::move(metric));
  std::stable_sort(out.begin(), out.end(), [](const Metric& a, const Metric& b) {
    const int x = metric::rank_of(a.name), y = metric::rank_of(b.name);
    return x != y ? x < y : stage_rank(a.name) < stage_rank(b.name);
  });
  return out;
}

std::vector<Metric> default_metrics(const std::vector<Metric>& all) {
  std::vector<Metric> out;
  for (const tracker::Grain grain :
       {tracker::Grain::kFinal, tracker::Grain::kEpoch, tracker::Grain::kStep}) {
    for (const Metric& metric : all) {
      if (metric.grain == grain && !metric::is_detail(metric.name)) out.push_back(metric);
    }
    if (!out.empty()) break;
  }
  // What is evaluated has no loss; the last one of the validation stands in for it.
  if (std::none_of(out.begin(), out.end(), [](const Metric& m) { return leaf(m.name) == "loss"; }))
    std::copy_if(all.begin(), all.end(), std::back_inserter(out), [](const Metric& metric) {
      return metric.grain == tracker::Grain::kEpoch && metric.name.ends_with(".val.loss");
    });
  return out;
}

std::vector<Metric> wanted_metrics(const Request& request, const std::vector<Metric>& all) {
  std::vector<std::string> wanted = request.metrics;
  std::vector<Metric> out = wanted.empty() ? default_metrics(all) : std::vector<Metric>{};
  const auto add = [&](const Metric& metric) {
    if (std::none_of(out.begin(), out.end(),
                     [&](const Metric& m) { return m.name == metric.name; }))
      out.push_back(metric);
  };
  const auto is_metric = [&](const std::string& name) {
    return std::any_of(all.begin(), all.end(), [&](const Metric& m) { return m.name == name; });
  };
  if (!request.y.empty()) wanted.push_back(request.y);
  if (is_metric(request.x)) wanted.push_back(request.x);
  for (const std::string& name : wanted) {
    const size_t before = out.size();
    bool found = false;
    for (const Metric& metric : all) {
      if (metric.name != name && leaf(metric.name) != name) continue;
      found = true;
      add(metric);
    }
    if (found || out.size() > before) continue;
    std::set<std::string> known;
    for (const Metric& metric : all) {
      known.insert(metric.name);
      known.insert(std::string(leaf(metric.name)));
    }
    const std::string guess = nearest(name, known);
    throw Error(fmt::format("no run here has the metric '{}'{}; `exp runs --keys` lists them", name,
                            did_you_mean(guess)));
  }
  return out;
}

std::string count_text(const std::map<std::string, int>& counts) {
  std::string out;
  for (const auto& [name, count] : counts)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, name);
  return out;
}

// Runs that have nothing to compare yet are left out of sets, never when named.
void drop_empty(Comparison& comparison) {
  std::map<std::string, int> dropped;
  std::erase_if(comparison.runs, [&](const RunInfo& run) {
    const bool any = std::any_of(
        comparison.metrics.begin(), comparison.metrics.end(),
        [&](const Metric& metric) { return value_of_metric(run, metric.name).has_value(); });
    if (!any) ++dropped[std::string(tracker::text(run.status))];
    return !any;
  });
  if (!dropped.empty())
    comparison.notes.push_back(
        fmt::format("runs left out, for they have no such metric: {}", count_text(dropped)));
}

// The run's own interval where seeds give none: over the clips of an evaluation, the inputs of an
// aggregate.
void add_clip_interval(Estimate& estimate, const RunInfo& run, const std::string& metric) {
  const auto low = value_of_metric(run, metric + "_lo"),
             high = value_of_metric(run, metric + "_hi");
  if (!low || !high) return;
  estimate.interval = {*low, *high};
  estimate.of_clips = true;
}

Estimate estimate_group(const Comparison& comparison, const Group& group,
                        const std::string& metric) {
  std::vector<double> values;
  size_t last = npos;
  for (const size_t run : group.runs) {
    if (const auto value = value_of_metric(comparison.runs[run], metric)) {
      values.push_back(*value);
      last = run;
    }
  }
  Estimate out = estimate(values);
  if (out.n == 1) add_clip_interval(out, comparison.runs[last], metric);
  return out;
}

Contrast contrast_seeds(const Comparison& comparison, const Group& base, const Group& group,
                        size_t metric) {
  const std::string& name = comparison.metrics[metric].name;
  std::map<std::string, double> by_seed;
  std::vector<double> left, right, left_pairs, right_pairs;
  for (const size_t run : base.runs) {
    const auto value = value_of_metric(comparison.runs[run], name);
    if (!value) continue;
    left.push_back(*value);
    if (!comparison.seeds[run].empty()) by_seed[comparison.seeds[run]] = *value;
  }
  for (const size_t run : group.runs) {
    const auto value = value_of_metric(comparison.runs[run], name);
    if (!value) continue;
    right.push_back(*value);
    const auto at = by_seed.find(comparison.seeds[run]);
    if (at == by_seed.end()) continue;
    left_pairs.push_back(at->second);
    right_pairs.push_back(*value);
  }
  const bool match = left_pairs.size() == left.size() && right_pairs.size() == right.size();
  if (match || left_pairs.size() >= 3) return paired(left_pairs, right_pairs);
  return unpaired(left, right);
}

// One seed each: the two intervals over clips together bound the difference. The clips are the
// same, so the values rise and fall together and the true interval is narrower.
void bound_by_clips(Contrast& contrast, const Estimate& base, const Estimate& other) {
  if (contrast.kind != Contrast::Kind::kPlain || !base.of_clips || !other.of_clips) return;
  const auto half = [](double middle, double end) { return (end - middle) * (end - middle); };
  contrast.kind = Contrast::Kind::kClips;
  contrast.interval = {contrast.difference - std::sqrt(half(other.mean, other.interval.low) +
                                                       half(base.mean, base.interval.high)),
                       contrast.difference + std::sqrt(half(other.mean, other.interval.high) +
                                                       half(base.mean, base.interval.low))};
}

void estimate_groups(Comparison& comparison) {
  for (Group& group : comparison.groups) {
    for (const Metric& metric : comparison.metrics)
      group.estimates.push_back(estimate_group(comparison, group, metric.name));
  }
  const Group& base = comparison.groups.front();
  for (Group& group : comparison.groups) {
    for (size_t i = 0; i < comparison.metrics.size(); ++i)
      group.contrasts.push_back(contrast_between(comparison, base, group, i));
  }
}

std::string param(const RunInfo& run, std::string_view key) {
  const auto at = run.params.find(key);
  return at == run.params.end() ? "" : tracker::to_text(at->second);
}

// "The best" of several configurations by a test score is a choice made on the test split.
std::string test_mark(const Comparison& comparison) {
  const auto any = [&](const auto& test) {
    return std::any_of(comparison.runs.begin(), comparison.runs.end(), test);
  };
  if (any([](const RunInfo& run) {
        const std::string select = param(run, "train.select"), val = param(run, "dataset.val");
        const bool chosen = select.starts_with("max:") || select.starts_with("min:");
        return chosen && !val.empty() && val == param(run, "dataset.test");
      })) {
    return "selected on test: checkpoints were chosen by train.select on dataset.val, which is the "
           "test split";
  }
  if (comparison.groups.size() > 1 && comparison.quality() != npos &&
      comparison.metrics[comparison.quality()].grain == tracker::Grain::kFinal &&
      any([](const RunInfo& run) { return param(run, "eval.split") == "test"; })) {
    return "selected on test: what is called best here, and the front, was picked by scores of the "
           "test split";
  }
  return "";
}

std::string digest_of(const Comparison& comparison) {
  std::string text;
  for (const RunInfo& run : comparison.runs) {
    text += run.uid + '\n';
    for (const auto& [key, value] : run.params) text += key + '=' + tracker::to_text(value) + '\n';
    for (const auto& [name, m] : run.metrics) {
      if (m.grain != tracker::Grain::kTime) text += fmt::format("{}:{}:{}\n", name, m.n, m.last);
    }
  }
  return sha256(text).substr(0, 16);
}

}  // namespace

std::optional<double> number_of(const std::optional<tracker::Value>& value) {
  if (!value) return std::nullopt;
  if (const auto* whole = std::get_if<int64_t>(&*value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&*value)) return *real;
  return std::nullopt;
}

size_t Comparison::find_metric(std::string_view name) const {
  for (size_t i = 0; i < metrics.size(); ++i) {
    if (metrics[i].name == name) return i;
  }
  for (size_t i = 0; i < metrics.size(); ++i) {
    if (leaf(metrics[i].name) == name) return i;
  }
  return npos;
}

size_t Comparison::quality() const {
  for (const metric::Metric* line : metric::ranked()) {
    if ((line->of & metric::Of::kScores) == 0) continue;
    if (const size_t at = find_metric(line->name); at != npos) return at;
  }
  return npos;
}

size_t Comparison::speed() const {
  const size_t good = quality();
  if (good != npos) {
    const std::string& name = metrics[good].name;
    const size_t at = find_metric(name.substr(0, name.size() - leaf(name).size()) + "clips_per_s");
    if (at != npos) return at;
  }
  return find_metric("clips_per_s");
}

Contrast contrast_between(const Comparison& comparison, const Group& base, const Group& group,
                          size_t metric) {
  Contrast out = contrast_seeds(comparison, base, group, metric);
  bound_by_clips(out, base.estimates[metric], group.estimates[metric]);
  return out;
}

std::vector<double> values_of(const Comparison& comparison, const Group& group,
                              std::string_view metric) {
  std::vector<double> out;
  for (const size_t run : group.runs)
    out.push_back(value_of_metric(comparison.runs[run], metric).value_or(kNaN));
  return out;
}

Comparison compare(tracker::Query& query, const Request& request) {
  Chosen chosen = request.uids.empty() ? choose(query, request)
                                       : Chosen{request.title, request.uids, request.named};
  if (request.uids.empty() && chosen.named && chosen.uids.size() > 1)
    chosen.title = fmt::format("{} runs", chosen.uids.size());
  Comparison out;
  out.request = request;
  out.request.uids = chosen.uids;
  out.request.title = out.title = chosen.title;
  out.request.named = chosen.named;
  // Per-class values are many: they are read where a chart needs them.
  std::vector<std::string> keys;
  const std::set<std::string> asked(request.metrics.begin(), request.metrics.end());
  for (std::string& key : query.keys()) {
    if (key.find('/') == std::string::npos || asked.count(key) != 0) keys.push_back(std::move(key));
  }
  std::map<std::string, RunInfo> by_uid;
  for (RunInfo& run : query.runs({.uids = chosen.uids, .keys = keys}))
    by_uid.emplace(run.uid, std::move(run));
  for (const std::string& uid : chosen.uids) {
    const auto at = by_uid.find(uid);
    if (at == by_uid.end()) throw Error(fmt::format("run {} is gone", uid), Exit::kData);
    out.runs.push_back(std::move(at->second));
  }
  add_epoch_seconds(query, out.runs);
  out.metrics = wanted_metrics(request, all_metrics(out.runs));
  if (!chosen.named) drop_empty(out);
  if (out.runs.empty()) {
    throw Error(
        fmt::format("{}: no run has a metric yet; `exp runs` shows how they fare", out.title),
        Exit::kData);
  }
  for (const RunInfo& run : out.runs) out.seeds.push_back(param(run, "experiment.seed"));
  make_groups(out, chosen.named);
  estimate_groups(out);
  out.selected_on_test = test_mark(out);
  add_speed_notes(out);
  out.digest = digest_of(out);
  return out;
}

}  // namespace xp::report
