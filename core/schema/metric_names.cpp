#include "core/schema/metric_names.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/schema/train.h"

namespace xp::schema {
namespace {

using Names = std::vector<std::string_view>;

const Names kOfClips = {"mAP", "mAP_all", "mAP_classes", "auc", "d_prime", "acc", "loss"};
const Names kOfScores = {"rows", "seconds"};
const Names kOfSpeed = {"clips_per_s", "latency_p50_ms", "latency_p95_ms", "peak_mem_mb",
                        "gflop",       "params_m",       "cpu_wait_p"};
const Names kOfTraining = {
    "train.loss", "train.loss_hard", "train.loss_kd",     "train.loss_nce", "train.loss_mse",
    "train.acc",  "train.grad_norm", "train.clips_per_s", "train.stall_p",  "train.peak_mem_mb",
    "lr",         "best_epoch"};
constexpr std::array<std::string_view, 3> kValidations = {"val.", "final.", "average."};

bool is_scored(std::string_view kind) {
  return kind == "evaluate" || kind == "teach" || kind == "baseline" || kind == "aggregate";
}

bool is_training(std::string_view kind) { return kind == "train" || kind == "pretrain"; }

/// The names that a kind of stage gives, but for those that carry a class, a group or an interval.
std::vector<std::string> metric_names_of(std::string_view kind) {
  std::vector<std::string> out;
  const auto add = [&out](std::string_view prefix, const Names& names) {
    for (const std::string_view name : names) out.push_back(fmt::format("{}{}", prefix, name));
  };
  if (is_scored(kind)) {
    add("", kOfClips);
    add("", kOfSpeed);
    add("no_tome/", kOfSpeed);
  }
  if (is_training(kind)) {
    for (const std::string_view prefix : kValidations) add(prefix, validation_metrics(kind));
    add("", kOfTraining);
  }
  add("", kOfScores);
  return out;
}

/// acc_lo, acc_std, acc_difference_hi: of acc.
std::string_view without_endings(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEndings = {"_lo", "_hi", "_std", "_difference_p",
                                                        "_difference"};
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (const std::string_view ending : kEndings) {
      if (!name.ends_with(ending)) continue;
      name.remove_suffix(ending.size());
      shorter = true;
    }
  }
  return name;
}

bool gives(std::string_view kind, std::string_view name, const std::vector<std::string>& names) {
  if (is_scored(kind) && (name.starts_with("ap/") || name.starts_with("best_mean_epoch/")))
    return true;
  if (is_training(kind) && name.starts_with("train.grad_norm/")) return true;
  return std::find(names.begin(), names.end(), without_endings(name)) != names.end();
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
  const std::string near = nearest(name, names);
  return fmt::format("a stage that does '{}' gives no metric '{}'{}", stage->kind, name,
                     near.empty() ? fmt::format("; it gives {}", fmt::join(names, ", "))
                                  : did_you_mean(instance + "." + near));
}

}  // namespace xp::schema
