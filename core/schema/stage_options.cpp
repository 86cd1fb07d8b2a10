#include "core/schema/stage_options.h"

#include <utility>

namespace xp::schema {
namespace {

/// [dataset] without what only readers of shards use.
DatasetOptions stored_part(DatasetOptions dataset) {
  const DatasetOptions defaults = DatasetOptions::of_kind(dataset.name);
  dataset.train = defaults.train;
  dataset.train_p = defaults.train_p;
  dataset.val = defaults.val;
  dataset.test = defaults.test;
  dataset.test_fold = defaults.test_fold;
  dataset.val_fold = defaults.val_fold;
  dataset.crop = defaults.crop;
  for (DatasetOptions& other : dataset.also) other = stored_part(other);
  return dataset;
}

FrontendOptions unnormalised(FrontendOptions frontend) {
  const FrontendOptions defaults = FrontendOptions::of_kind(frontend.kind);
  frontend.norm.clear();
  frontend.norm_mean = defaults.norm_mean;
  frontend.norm_std = defaults.norm_std;
  return frontend;
}

/// The sections that each training stage has.
template <class T>
T training_part(const recipe::View& view) {
  T out;
  out.seed = view.build<ExperimentOptions>().seed;
  out.dataset = view.build<DatasetOptions>();
  out.frontend = view.build<FrontendOptions>();
  out.augment = view.build<AugmentOptions>();
  out.sampler = view.build<SamplerOptions>();
  out.model = view.build<ModelOptions>();
  out.train = view.build<TrainOptions>();
  out.optimiser = view.build<OptimiserOptions>();
  out.schedule = view.build<ScheduleOptions>();
  out.averaging = view.build<AveragingOptions>();
  return out;
}

/// The sections of the reducers where the model has tokens.
Reductions reductions_for(const recipe::View& view, const ModelOptions& model) {
  if (!may_have_tokens(model.arch)) return {};
  return Reductions::made_by([&]<class Options>(std::type_identity<Options>) {
    return std::optional<Options>(view.build<Options>());
  });
}

/// [model] where all weights are loaded: how fresh ones start is in no key.
ModelOptions loaded_part(ModelOptions model) {
  model.init = InitRule::kNormal;
  model.head_bias = HeadBias::kInit;
  return model;
}

/// The sections that each stage with a checkpoint has.
template <class T>
T checkpoint_part(const recipe::View& view) {
  T out;
  out.checkpoint = view.key_inputs("checkpoint");
  out.dataset = view.build<DatasetOptions>();
  out.frontend = view.build<FrontendOptions>();
  out.model = loaded_part(view.build<ModelOptions>());
  static_cast<Reductions&>(out) = reductions_for(view, out.model);
  out.eval = view.build<EvalOptions>();
  return out;
}

/// [eval] of a stage that times nothing: a timed evaluation shares its logits with an untimed one.
EvalOptions untimed(EvalOptions eval) {
  const EvalOptions defaults;
  eval.bench = defaults.bench;
  eval.bench_batch = defaults.bench_batch;
  eval.bench_reps = defaults.bench_reps;
  return eval;
}

}  // namespace

PrepareOptions PrepareOptions::for_reader(const DatasetOptions& dataset,
                                          const FrontendOptions& frontend) {
  PrepareOptions out;
  out.dataset = stored_part(dataset);
  out.rate_hz = frontend.rate_hz;
  return out;
}

PrepareOptions PrepareOptions::configure(const recipe::View& view) {
  return for_reader(view.build<DatasetOptions>(), view.build<FrontendOptions>());
}

StatsOptions StatsOptions::configure(const recipe::View& view) {
  return {view.build<DatasetOptions>(), unnormalised(view.build<FrontendOptions>())};
}

PretrainStageOptions PretrainStageOptions::configure(const recipe::View& view) {
  auto out = training_part<PretrainStageOptions>(view);
  out.model.head_bias = HeadBias::kInit;  // there is no classifier
  out.pretrain = view.build<PretrainOptions>();
  return out;
}

TrainStageOptions TrainStageOptions::configure(const recipe::View& view) {
  auto out = training_part<TrainStageOptions>(view);
  static_cast<Reductions&>(out) = reductions_for(view, out.model);
  if (may_have_tokens(out.model.arch)) {
    auto patchout = view.build<PatchoutOptions>();
    if (patchout.any()) out.patchout = patchout;
  }
  auto kd = view.build<KdOptions>();
  if (kd.enabled) out.kd = std::move(kd);
  return out;
}

TeachStageOptions TeachStageOptions::configure(const recipe::View& view) {
  auto out = checkpoint_part<TeachStageOptions>(view);
  out.eval = untimed(std::move(out.eval));
  if (const std::string split = view.key_text("split"); !split.empty()) out.split = split;
  return out;
}

EvaluateStageOptions EvaluateStageOptions::configure(const recipe::View& view) {
  auto out = checkpoint_part<EvaluateStageOptions>(view);
  if (const auto split = recipe::parse_enum<Split>(view.key_text("split"))) out.eval.split = *split;
  if (out.eval.bootstrap > 0) out.seed = view.build<ExperimentOptions>().seed;
  out.loss = view.build<TrainOptions>().loss;
  return out;
}

EmbedStageOptions EmbedStageOptions::configure(const recipe::View& view) {
  auto out = checkpoint_part<EmbedStageOptions>(view);
  out.eval = untimed(std::move(out.eval));
  out.split = recipe::enum_name(out.eval.split);
  if (const std::string split = view.key_text("split"); !split.empty()) out.split = split;
  return out;
}

BaselineStageOptions BaselineStageOptions::configure(const recipe::View& view) {
  BaselineStageOptions out;
  out.seed = view.build<ExperimentOptions>().seed;
  out.dataset = view.build<DatasetOptions>();
  out.frontend = view.build<FrontendOptions>();
  out.eval = untimed(view.build<EvalOptions>());
  out.eval.precision = EvalOptions().precision;  // it has no forward pass
  out.loss = view.build<TrainOptions>().loss;
  return out;
}

AggregateOptions AggregateOptions::configure(const recipe::View& view) {
  return {view.key_inputs("inputs"), view.key_inputs("against"), view.key_text("also")};
}

}  // namespace xp::schema
