#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/unit.h"

/// All metrics there are: core/metric/metrics.inc, a line each, and what its lines say of the names
/// that runs have.
namespace xp::metric {

class Scored;

/// How often each clip of a split counts, [N]; empty = once each.
using Counts = std::span<const float>;

/// Which way a metric is better.
enum class Better { kHigher, kLower, kUnknown };

/// How NAME_lo and NAME_hi of a metric of scored clips come about.
enum class Bounds {
  kNone,       ///< it has none
  kResampled,  ///< from resamples of the clips (eval.bootstrap)
  kShare,      ///< of clips that are right (Scored::correct): by Wilson without resamples, and
               ///< McNemar's test for two
};

/// Who makes a metric, under which names.
struct Of {
  enum : uint32_t {
    kScores =
        1U << 0U,  ///< NAME of the stages that score clips: evaluate, teach, baseline, aggregate
    kValidation = 1U << 1U,  ///< val.NAME, final.NAME, average.NAME of a training by labels
    kMasked = 1U << 2U,      ///< the same of masked pretraining
    kSpeed = 1U << 3U,       ///< NAME and no_tome/NAME of an evaluation with eval.bench
    kSteps = 1U << 4U,       ///< train.NAME of a training, every train.log_every_steps
    kEpochs = 1U << 5U,      ///< train.NAME of a training, every epoch
    kTraining = 1U << 6U,    ///< NAME of a training
    kPerClass = 1U << 7U,    ///< NAME/CLASS_ID of the stages that score clips
    kPerGroup = 1U << 8U,    ///< train.NAME/GROUP of a training
    kMeanEpoch = 1U << 9U,   ///< best_mean_epoch/NAME of an aggregate
    kClips = 1U << 10U,      ///< NAME of embed and teach
    kTimed = 1U << 11U,      ///< NAME of evaluate
    kReported = 1U << 12U,   ///< STAGE.NAME that reports compute
  };
};

/// Where a metric is shown without being asked for.
struct Shown {
  enum : uint32_t {
    kAsked = 0,            ///< nowhere
    kAtEnd = 1U << 0U,     ///< in the table that a run ends with
    kCompared = 1U << 1U,  ///< in reports and lists of runs
  };
};

struct Metric {
  std::string_view name;
  uint32_t of = 0;  ///< of Of
  Unit unit = Unit::kNone;
  Better better = Better::kUnknown;
  int rank = 0;        ///< 0 = none
  uint32_t shown = 0;  ///< of Shown
  std::string_view help;
  /// Of scored clips alone: the value of eval.metrics that asks for it, what computes it (where
  /// clip i counts `counts[i]` times), and its bounds.
  std::string_view asked;
  double (*compute)(const Scored& scored, Counts counts) = nullptr;
  Bounds bounds = Bounds::kNone;
};

/// The lines of metrics.inc, in their order.
std::span<const Metric> table();

/// The lines with a rank, smallest first: what a person looks at first.
std::vector<const Metric*> ranked();

/// "eval.ap/m_0" to "ap/m_0"; the part after the last dot before any slash.
std::string_view leaf(std::string_view name);

/// "acc_difference_lo" to "acc": without what says that a value is an interval's end, a deviation
/// or a difference.
std::string_view without_endings(std::string_view name);

/// The line of any name that a run has: "eval.mAP", "train.val.acc_lo", "ap/m_0", "no_tome/gflop";
/// null where there is none.
const Metric* find(std::string_view name);

/// The unit of such a name; none of an unknown one.
Unit unit_of(std::string_view name);

/// Which way the metric itself is better; unknown of its differences, of what is under no_tome/,
/// and of other names.
Better better(std::string_view name);

/// Its rank, and a number above all ranks for what has none: differences, bounds and parts among
/// them.
int rank_of(std::string_view name);

/// Bounds, deviations, p values, values of one class or group, and what is shown when asked for
/// alone.
bool is_detail(std::string_view name);

}  // namespace xp::metric
