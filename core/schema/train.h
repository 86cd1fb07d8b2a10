#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class Loss { kBce, kCe, kMaskedBce };
XP_ENUM_NAMES(Loss, "bce", "ce", "masked_bce")

enum class Precision { kFp32, kBf16, kFp16, kAuto };
XP_ENUM_NAMES(Precision, "fp32", "bf16", "fp16", "auto")

enum class OnNan { kStop, kSkip };
XP_ENUM_NAMES(OnNan, "stop", "skip")

/// What validation computes after every epoch of a stage that does `kind`, by which training can
/// go: of labels ("train"), of masked patches ("pretrain", where one pretrain.task alone does not
/// give all), as metrics.inc lists them. Empty for kinds that do not train.
std::vector<std::string_view> validation_metrics(std::string_view kind);

/// What `train.select` and `schedule.metric` say, taken apart: "max:val.mAP" is {maximise, "mAP"}.
struct MetricGoal {
  bool maximise = true;
  std::string metric;  ///< leaf name: "mAP", "acc", "loss"
};

/// nullopt for "last", and for what neither rule below accepts.
std::optional<MetricGoal> parse_goal(std::string_view text);
/// "max:val.METRIC" or "min:val.METRIC" with a metric that validation computes.
bool accepts_goal(std::string_view text);
/// accepts_goal, or "last".
bool accepts_select(std::string_view text);

/// [train]: the loop.
struct TrainOptions {
  static constexpr std::string_view kSection = "train";
  static constexpr std::string_view kHelp = "the training loop";

  int64_t epochs = 10;
  int64_t batch_size = 32;
  int64_t micro_batch = 0;
  int64_t norm_batch = 0;
  int64_t max_steps = 0;
  Loss loss = Loss::kBce;
  double label_smoothing = 0.0;
  Precision precision = Precision::kFp32;
  double clip_norm = 0.0;
  bool activation_checkpointing = false;
  std::string select = "last";
  std::vector<std::string> keep = {"best", "last"};
  int64_t save_every_min = 10;
  int64_t early_stop_epochs = 0;
  int64_t val_every_epochs = 1;
  OnNan on_nan = OnNan::kStop;
  int64_t workers = 0;
  int64_t log_every_steps = 10;
  std::string start_from;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = TrainOptions;
    using recipe::HashClass;
    v.field("epochs", &O::epochs, {.min = 1, .max = 1e6, .unit = "epochs"},
            "epochs; sampler.draws is their length");
    v.field("batch_size", &O::batch_size, {.min = 1, .max = 1e6},
            "clips an optimiser step sees, over all devices and accumulation");
    v.field("micro_batch", &O::micro_batch, {.min = 0, .max = 1e6, .hash = HashClass::kSpeed},
            "clips that a device computes at a time, 0 = as many as fit");
    v.field(
        "norm_batch", &O::norm_batch, {.min = 0, .max = 1e6, .off = "0"},
        "clips that share statistics of batch norm, by their place in the batch of all devices, "
        "0 = the whole batch");
    v.field("max_steps", &O::max_steps, {.min = 0, .max = 1e9, .unit = "steps"},
            "steps in an epoch, 0 = all");
    v.field("loss", &O::loss, {},
            "bce: sigmoid per class; ce: softmax over classes; masked_bce: unlabelled classes "
            "count nothing");
    v.field("label_smoothing", &O::label_smoothing, {.min = 0, .max = 1, .open_max = true},
            "probability moved from the label to the other classes");
    v.field("precision", &O::precision, {},
            "of the forward pass; auto is resolved from the device before it is hashed");
    v.field("clip_norm", &O::clip_norm, {.min = 0, .max = 1e6},
            "largest norm of the gradient, 0 = unlimited");
    v.field("activation_checkpointing", &O::activation_checkpointing, {.hash = HashClass::kSpeed},
            "recompute blocks in the backward pass: less memory, more time");
    v.field("select", &O::select,
            {.grammar = "last, max:val.METRIC or min:val.METRIC", .accepts = &accepts_select},
            "which epoch `.best` is: last, max:val.METRIC or min:val.loss");
    v.field("keep", &O::keep, {.hash = HashClass::kSpeed, .choices = "best last average epochs"},
            "checkpoints that stay on disk");
    v.field("save_every_min", &O::save_every_min,
            {.min = 0, .max = 100000, .unit = "min", .hash = HashClass::kSpeed},
            "time between checkpoints inside an epoch, 0 = at epoch ends only");
    v.field("early_stop_epochs", &O::early_stop_epochs, {.min = 0, .max = 1e6, .unit = "epochs"},
            "stop after this many epochs without a better `select`, 0 = never");
    v.field("val_every_epochs", &O::val_every_epochs, {.min = 1, .max = 1e6, .unit = "epochs"},
            "epochs between validations");
    v.field("on_nan", &O::on_nan, {},
            "a loss that is not finite ends the run, or its step is skipped");
    v.field("workers", &O::workers, {.min = 0, .max = 1024, .hash = HashClass::kSpeed},
            "threads that load data, 0 = one a core");
    v.field("log_every_steps", &O::log_every_steps,
            {.min = 1, .max = 1e6, .unit = "steps", .hash = HashClass::kLabel},
            "steps between logged losses; the first and the last step are logged too");
    v.field("start_from", &O::start_from, {.sweepable = false, .input = true},
            "full state of another run's checkpoint, to train longer");
  }
};

}  // namespace xp::schema
