#include "core/schema/metric_names.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/metric/metrics.h"
#include "core/schema/train.h"

namespace xp::schema {
namespace {

using metric::Of;

constexpr std::array<std::string_view, 3> kValidations = {"val.", "final.", "average."};

/// Metrics that a stage reports, and what stands before their names.
struct Source {
  uint32_t of;
  std::string_view prefix;
};

/// All of a kind of stage but validation.
std::vector<Source> sources_of(std::string_view kind) {
  if (kind == "embed") return {{Of::kClips, ""}};
  if (kind == "train" || kind == "pretrain")
    return {{Of::kSteps | Of::kEpochs, "train."}, {Of::kTraining, ""}};
  if (kind != "evaluate" && kind != "teach" && kind != "baseline" && kind != "aggregate") return {};
  std::vector<Source> out = {{Of::kScores, ""}, {Of::kSpeed, ""}, {Of::kSpeed, "no_tome/"}};
  if (kind == "evaluate") out.push_back({Of::kTimed, ""});
  if (kind == "teach") out.push_back({Of::kClips, ""});
  return out;
}

/// The names that a kind of stage gives, but for those that carry a class, a group or an interval.
std::vector<std::string> metric_names_of(std::string_view kind) {
  std::vector<std::string> out;
  for (const std::string_view prefix : kValidations)
    for (const std::string_view name : validation_metrics(kind))
      out.push_back(fmt::format("{}{}", prefix, name));
  for (const Source& source : sources_of(kind))
    for (const metric::Metric& line : metric::table())
      if ((line.of & source.of) != 0) out.push_back(fmt::format("{}{}", source.prefix, line.name));
  return out;
}

/// Of one class, of one group of parameters, of the epoch whose mean over folds is best.
bool is_part(std::string_view kind, std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  const metric::Metric* line = metric::find(name.substr(0, slash));
  const uint32_t of = line == nullptr ? 0 : line->of;
  const std::vector<Source> sources = sources_of(kind);
  const auto has = [&](uint32_t source) {
    return std::any_of(sources.begin(), sources.end(),
                       [&](const Source& each) { return (each.of & source) != 0; });
  };
  if (has(Of::kScores)) return (of & Of::kPerClass) != 0 || name.starts_with("best_mean_epoch/");
  return has(Of::kSteps) && (of & Of::kPerGroup) != 0 && name.starts_with("train.");
}

bool gives(std::string_view kind, std::string_view name, const std::vector<std::string>& names) {
  if (is_part(kind, name)) return true;
  return std::find(names.begin(), names.end(), metric::without_endings(name)) != names.end();
}

/// The stage whose instance of that name the metric begins with, and the instance's name.
std::pair<const recipe::Stage*, std::string> owner_of(const recipe::Recipe& recipe,
                                                      std::string_view metric) {
  for (const recipe::Stage& stage : recipe.stages()) {
    for (const recipe::Instance& instance : stage.instances) {
      if (metric.starts_with(instance.name + ".")) return {&stage, instance.name};
    }
  }
  return {nullptr, ""};
}

std::string why_no_stage(const recipe::Recipe& recipe, std::string_view name) {
  std::vector<std::string> known;
  for (const recipe::Stage& stage : recipe.stages()) {
    if (stage.name == name)
      return fmt::format("stage '{}' comes once for each of its `each`: did you mean '{}'?", name,
                         stage.instances.front().name);
    for (const recipe::Instance& instance : stage.instances) known.push_back(instance.name);
  }
  return fmt::format("the recipe has no stage '{}'{}", name, did_you_mean(nearest(name, known)));
}

}  // namespace

std::optional<std::string> why_no_metric(const recipe::Recipe& recipe, std::string_view metric) {
  const auto [stage, instance] = owner_of(recipe, metric);
  if (stage == nullptr) return why_no_stage(recipe, metric.substr(0, metric.find('.')));
  const std::string_view name = metric.substr(instance.size() + 1);
  const std::vector<std::string> names = metric_names_of(stage->kind);
  if (gives(stage->kind, name, names)) return std::nullopt;
  if (names.empty()) return fmt::format("a stage that does '{}' gives no metrics", stage->kind);
  const std::string near = nearest(name, names);
  return fmt::format("a stage that does '{}' gives no metric '{}'{}", stage->kind, name,
                     near.empty() ? fmt::format("; it gives {}", fmt::join(names, ", "))
                                  : did_you_mean(instance + "." + near));
}

}  // namespace xp::schema
