#pragma once

#include "core/recipe/options.h"
#include "core/schema/train.h"

namespace xp::schema {

/// What an evaluation is asked for: the metrics of core/metric/metrics.inc, and two tables.
enum class Metric {
#define XP_ASKED(name, ...) k_##name,
#include "core/metric/metrics.inc"
  kConfusion,
  kPerClass,
};
constexpr auto names_of(Metric) {
  return std::to_array<std::string_view>({
#define XP_ASKED(name, ...) #name,
#include "core/metric/metrics.inc"
      "confusion",
      "per_class",
  });
}

enum class Split { kTest, kVal, kTrain };
XP_ENUM_NAMES(Split, "test", "val", "train")

/// [eval].
struct EvalOptions {
  static constexpr std::string_view kSection = "eval";
  static constexpr std::string_view kHelp = "what an evaluation computes";

  Split split = Split::kTest;
  std::vector<Metric> metrics = {Metric::k_mAP};
  int64_t batch_size = 0;
  int64_t bootstrap = 0;
  double window_s = 0.0;
  double window_hop_s = 0.0;
  bool bench = false;
  int64_t bench_batch = 32;
  int64_t bench_reps = 30;
  bool save_predictions = true;
  Precision precision = Precision::kFp32;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = EvalOptions;
    using recipe::HashClass;
    v.field("split", &O::split, {}, "split that is scored");
    v.field("metrics", &O::metrics, {.sweepable = false}, "metrics to compute");
    v.field("batch_size", &O::batch_size, {.min = 0, .max = 1e6, .hash = HashClass::kSpeed},
            "clips in a forward pass, 0 = as many as fit");
    v.field("bootstrap", &O::bootstrap, {.min = 0, .max = 1e6},
            "resamples for confidence intervals, 0 = none");
    v.field("window_s", &O::window_s, {.min = 0, .max = 3600, .unit = "s"},
            "long clips are scored in windows of this length and averaged, 0 = off");
    v.field("window_hop_s", &O::window_hop_s, {.min = 0, .max = 3600, .unit = "s"},
            "step between windows, 0 = half a window");
    v.field("bench", &O::bench, {}, "measure throughput, latency, memory and FLOPs as well");
    v.field("bench_batch", &O::bench_batch, {.min = 1, .max = 1e5}, "clips in a measured batch");
    v.field("bench_reps", &O::bench_reps, {.min = 1, .max = 1e5},
            "measured batches, after 10 to warm up");
    v.field("save_predictions", &O::save_predictions, {}, "keep the scores of every clip");
    v.field("precision", &O::precision, {.off = "\"fp32\""},
            "of the forward pass, in evaluate, teach, embed and eval.bench; auto is resolved from "
            "the device before it is hashed");
  }
};

}  // namespace xp::schema
