#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/recipe/view.h"
#include "core/schema/reductions.h"
#include "core/schema/sections.h"

/// What each kind of stage reads of a recipe. `configure` is pure: the struct it makes is all that
/// the running half gets, and all that goes into the stage's key.
namespace xp::schema {

/// prepare: audio files to shards. Fields of [dataset] that only readers of shards use (splits,
/// folds of ESC-50, crop) are at their defaults here, so that folds and splits share one set of
/// shards.
struct PrepareOptions {
  DatasetOptions dataset;
  int64_t rate_hz = 16000;

  static PrepareOptions configure(const recipe::View& view);
  /// The shards that a stage with these options reads.
  static PrepareOptions for_reader(const DatasetOptions& dataset, const FrontendOptions& frontend);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = PrepareOptions;
    v.part("dataset", &O::dataset);
    v.field("rate_hz", &O::rate_hz, {.min = 8000, .max = 48000, .unit = "Hz"},
            "sample rate of the shards");
  }
};

/// stats: mean and deviation of the log-mel of the training split, for `frontend.norm`.
struct StatsOptions {
  DatasetOptions dataset;
  FrontendOptions frontend;  ///< norm, norm_mean and norm_std at their defaults

  static StatsOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = StatsOptions;
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
  }
};

/// pretrain: SSAST.
struct PretrainStageOptions {
  int64_t seed = 0;
  DatasetOptions dataset;
  FrontendOptions frontend;
  AugmentOptions augment;
  SamplerOptions sampler;
  ModelOptions model;
  PretrainOptions pretrain;
  TrainOptions train;
  OptimiserOptions optimiser;
  ScheduleOptions schedule;
  AveragingOptions averaging;

  static PretrainStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = PretrainStageOptions;
    v.field("seed", &O::seed, {.min = 0}, "experiment.seed");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("augment", &O::augment);
    v.part("sampler", &O::sampler);
    v.part("model", &O::model);
    v.part("pretrain", &O::pretrain);
    v.part("train", &O::train);
    v.part("optimiser", &O::optimiser);
    v.part("schedule", &O::schedule);
    v.part("averaging", &O::averaging);
  }
};

/// train. A section of reducers is absent for CNNs.
struct TrainStageOptions : Reductions {
  int64_t seed = 0;
  DatasetOptions dataset;
  FrontendOptions frontend;
  AugmentOptions augment;
  SamplerOptions sampler;
  ModelOptions model;
  std::optional<PatchoutOptions> patchout;  ///< absent for CNNs and when nothing is left out
  std::optional<KdOptions> kd;              ///< absent unless kd.enabled
  TrainOptions train;
  OptimiserOptions optimiser;
  ScheduleOptions schedule;
  AveragingOptions averaging;

  static TrainStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = TrainStageOptions;
    v.field("seed", &O::seed, {.min = 0}, "experiment.seed");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("augment", &O::augment);
    v.part("sampler", &O::sampler);
    v.part("model", &O::model);
    Reductions::describe_parts<O>(v);
    v.part("patchout", &O::patchout);
    v.part("kd", &O::kd);
    v.part("train", &O::train);
    v.part("optimiser", &O::optimiser);
    v.part("schedule", &O::schedule);
    v.part("averaging", &O::averaging);
  }
};

/// teach: a teacher's logits for every clip of a split. `model` and `frontend` are the checkpoint's
/// where the recipe or the table of published weights knows them, else the recipe's.
struct TeachStageOptions : Reductions {
  recipe::Inputs checkpoint;  ///< several: the mean of their logits
  std::string split = "train";
  DatasetOptions dataset;
  FrontendOptions frontend;
  ModelOptions model;
  EvalOptions eval;

  static TeachStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = TeachStageOptions;
    v.field("checkpoint", &O::checkpoint, {.input = true}, "what teaches");
    v.field("split", &O::split, {.choices = "train val test"}, "split that gets logits");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("model", &O::model);
    Reductions::describe_parts<O>(v);
    v.part("eval", &O::eval);
  }
};

/// evaluate.
struct EvaluateStageOptions : Reductions {
  recipe::Inputs checkpoint;  ///< several: an ensemble, the mean of their logits
  int64_t seed = 0;           ///< of the bootstrap; 0 when there is none
  DatasetOptions dataset;
  FrontendOptions frontend;
  ModelOptions model;
  EvalOptions eval;        ///< `split` of the stage laid on top
  Loss loss = Loss::kBce;  ///< train.loss: what the metric `loss` means

  static EvaluateStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = EvaluateStageOptions;
    v.field("checkpoint", &O::checkpoint, {.input = true}, "what is scored");
    v.field("seed", &O::seed, {.min = 0}, "experiment.seed, when eval.bootstrap asks for it");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("model", &O::model);
    Reductions::describe_parts<O>(v);
    v.part("eval", &O::eval);
    v.field("loss", &O::loss, {}, "train.loss");
  }
};

/// embed: embeddings of every clip of a split.
struct EmbedStageOptions : Reductions {
  recipe::Inputs checkpoint;
  std::string split = "test";
  DatasetOptions dataset;
  FrontendOptions frontend;
  ModelOptions model;
  EvalOptions eval;

  static EmbedStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = EmbedStageOptions;
    v.field("checkpoint", &O::checkpoint, {.input = true}, "what embeds");
    v.field("split", &O::split, {.choices = "train val test"}, "split that is embedded");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("model", &O::model);
    Reductions::describe_parts<O>(v);
    v.part("eval", &O::eval);
  }
};

/// baseline: a logistic regression on the mean and deviation of every mel band over the clip; what
/// a model has to beat. Trained on dataset.train, scored on eval.split.
struct BaselineStageOptions {
  int64_t seed = 0;
  DatasetOptions dataset;
  FrontendOptions frontend;
  EvalOptions eval;
  Loss loss = Loss::kBce;  ///< train.loss: one label (ce) or several (bce)

  static BaselineStageOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = BaselineStageOptions;
    v.field("seed", &O::seed, {.min = 0}, "experiment.seed");
    v.part("dataset", &O::dataset);
    v.part("frontend", &O::frontend);
    v.part("eval", &O::eval);
    v.field("loss", &O::loss, {}, "train.loss");
  }
};

/// aggregate: mean, interval and deviation over its inputs.
struct AggregateOptions {
  recipe::Inputs inputs;
  recipe::Inputs against;  ///< as many as inputs, in their order; or none
  std::string also;        ///< "" or "best_mean_epoch"

  static AggregateOptions configure(const recipe::View& view);
  template <class Visitor>
  static void describe(Visitor& v) {
    using O = AggregateOptions;
    v.field("inputs", &O::inputs, {.input = true}, "outputs of evaluate stages");
    v.field("against", &O::against, {.input = true},
            "what each input is compared with: the same `each`, differences are paired");
    v.field(
        "also", &O::also, {.choices = "best_mean_epoch"},
        "best_mean_epoch: also the epoch with the best mean over the inputs, never the headline");
  }
};

}  // namespace xp::schema
