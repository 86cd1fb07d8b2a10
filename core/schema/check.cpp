#include "core/schema/check.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/schema/check_rules.h"
#include "core/schema/geometry.h"
#include "core/schema/metric_names.h"
#include "core/schema/norm_group.h"

namespace xp::schema {

void Rules::fault(std::initializer_list<std::string_view> keys, const std::string& message) const {
  const recipe::Value* at = nullptr;
  for (const std::string_view key : keys) {
    const std::size_t dot = key.find('.');
    if (dot != std::string_view::npos) {
      at = view().find(key.substr(0, dot), key.substr(dot + 1));
    } else if (const auto found = view().keys.find(key); found != view().keys.end()) {
      at = &found->second;
    }
    if (at != nullptr) break;
  }
  faults_.fault(at, fmt::format("stage {}: {}", view().stage, message));
}

void Rules::fault_at(const recipe::Value& value, const std::string& message) const {
  faults_.fault(&value, fmt::format("stage {}: {}", view().stage, message));
}

namespace {

using Each = std::vector<std::pair<std::string, recipe::Value>>;

bool many_labels(DatasetName name) {
  return name == DatasetName::kAudioset || name == DatasetName::kFsd50k ||
         name == DatasetName::kOpenmic || name == DatasetName::kPasstHdf5;
}

void check_loss(const Rules& rules, const TrainOptions& train, const DatasetOptions& dataset) {
  const std::string set(recipe::enum_name(dataset.name));
  if (train.loss == Loss::kCe &&
      (many_labels(dataset.name) ||
       (dataset.name == DatasetName::kSynthetic && dataset.labels_per_clip > 1))) {
    rules.fault(
        {"train.loss"},
        fmt::format("train.loss = \"ce\" takes one label a clip, {} has several; use bce", set));
  }
  if (train.loss == Loss::kMaskedBce && dataset.name != DatasetName::kOpenmic) {
    rules.fault(
        {"train.loss"},
        fmt::format("train.loss = \"masked_bce\" is for classes that nobody judged; {} has none",
                    set));
  }
  if (train.loss != Loss::kCe && train.label_smoothing > 0 && train.loss == Loss::kMaskedBce) {
    rules.fault({"train.label_smoothing"}, "train.label_smoothing does not go with masked_bce");
  }
}

void check_epochs(const Rules& rules, const TrainOptions& train,
                  const AveragingOptions& averaging) {
  if (train.micro_batch > train.batch_size) {
    rules.fault({"train.micro_batch"},
                fmt::format("train.micro_batch is {}, more than train.batch_size {}",
                            train.micro_batch, train.batch_size));
  }
  const bool ranged =
      averaging.kind == AveragingKind::kEpochs || averaging.kind == AveragingKind::kSwa;
  if (ranged && averaging.first_epoch > train.epochs) {
    rules.fault({"averaging.first_epoch", "train.epochs"},
                fmt::format("averaging.first_epoch is {}, training ends after epoch {}",
                            averaging.first_epoch, train.epochs));
  }
  if (averaging.kind != AveragingKind::kEpochs || averaging.last_epoch == 0) return;
  if (averaging.last_epoch > train.epochs) {
    rules.fault({"averaging.last_epoch", "train.epochs"},
                fmt::format("averaging.last_epoch is {}, training ends after epoch {}",
                            averaging.last_epoch, train.epochs));
  } else if (averaging.last_epoch < averaging.first_epoch) {
    rules.fault({"averaging.last_epoch", "averaging.first_epoch"},
                "averaging.last_epoch is before averaging.first_epoch");
  }
}

/// Batch norm sees groups of clips, never what a device computes at a time.
void check_norm_groups(const Rules& rules, const TrainOptions& train, Family family) {
  const int64_t group = norm_group(train, family);
  if (train.norm_batch > 0 && group == 0) {
    rules.fault({"train.norm_batch"}, fmt::format("train.norm_batch means nothing to {}, which has "
                                                  "no batch norm: leave it out",
                                                  family_name(family)));
  }
  if (train.norm_batch > train.batch_size) {
    rules.fault({"train.norm_batch"},
                fmt::format("train.norm_batch is {}, more than train.batch_size {}",
                            train.norm_batch, train.batch_size));
  } else if (train.micro_batch > 0 && train.micro_batch < group) {
    rules.fault({"train.micro_batch"}, split_group_text(train.micro_batch, group));
  }
}

void check_validation(const Rules& rules, const TrainOptions& train,
                      const ScheduleOptions& schedule, const DatasetOptions& dataset) {
  const bool validates = has_split(dataset, Split::kVal);
  const char* why = "there is no validation split: dataset.val";
  if (dataset.val == "val" && dataset.val_fold == 0 && !validates)
    why = "there is no validation fold: dataset.val_fold is 0";
  if (train.select != "last" && !validates) {
    rules.fault({"train.select"},
                fmt::format("train.select = \"{}\" needs validation, and {}", train.select, why));
  }
  if (schedule.kind == ScheduleKind::kPlateau && !validates) {
    rules.fault({"schedule.kind"},
                fmt::format("schedule.kind = \"plateau\" needs validation, and {}", why));
  }
  if (train.early_stop_epochs > 0 && (train.select == "last" || !validates)) {
    rules.fault({"train.early_stop_epochs"},
                "train.early_stop_epochs needs a train.select to get better, and validation");
  }
  if (!has_split(dataset, Split::kTrain))
    rules.fault({"dataset.train", "dataset.name"}, "there is no training split: dataset.train");
  check_split_is_there(rules, dataset, Split::kTrain);
  check_split_is_there(rules, dataset, Split::kVal);
}

/// Training cannot go by what its validation does not compute: `known` metrics.
void check_goals(const Rules& rules, const TrainOptions& train, const ScheduleOptions& schedule,
                 const std::vector<std::string_view>& known) {
  const auto check = [&](const char* key, const std::string& text) {
    const std::optional<MetricGoal> goal = parse_goal(text);
    if (!goal || std::find(known.begin(), known.end(), goal->metric) != known.end()) return;
    rules.fault({key}, fmt::format("{} = \"{}\": validation of this stage computes {}", key, text,
                                   fmt::join(known, ", ")));
  };
  check("train.select", train.select);
  if (schedule.kind == ScheduleKind::kPlateau) check("schedule.metric", schedule.metric);
}

void check_masks(const Rules& rules, const AugmentOptions& augment,
                 const FrontendOptions& frontend) {
  if (augment.freq_mask_bins > frontend.mel_bins) {
    rules.fault({"augment.freq_mask_bins"},
                fmt::format("augment.freq_mask_bins is {}, there are {} bins",
                            augment.freq_mask_bins, frontend.mel_bins));
  }
  const int64_t frames = input_geometry(frontend).T;
  if (frames > 0 && augment.time_mask_frames > frames) {
    rules.fault({"augment.time_mask_frames"},
                fmt::format("augment.time_mask_frames is {}, there are {} frames",
                            augment.time_mask_frames, frames));
  }
  if (augment.ir_p > 0 && augment.ir_root.empty()) {
    rules.fault({"augment.ir_p"},
                "augment.ir_p needs augment.ir_root: where are the impulse responses?");
  }
}

void check_patchout(const Rules& rules, const PatchoutOptions& p, const ModelOptions& model,
                    const FrontendOptions& frontend) {
  if (p.t > 0 && p.t_p > 0)
    rules.fault({"patchout.t_p"}, "patchout.t and patchout.t_p exclude each other");
  if (p.f > 0 && p.f_p > 0)
    rules.fault({"patchout.f_p"}, "patchout.f and patchout.f_p exclude each other");
  if (p.u > 0 && p.u_p > 0)
    rules.fault({"patchout.u_p"}, "patchout.u and patchout.u_p exclude each other");
  const Geometry input = input_geometry(frontend);
  const Grid grid = patch_grid(model, {input.F, input.T > 0 ? input.T : 1 << 20});
  if (p.f >= grid.f && p.f > 0) {
    rules.fault({"patchout.f"},
                fmt::format("patchout.f = {} leaves none of the {} rows of patches", p.f, grid.f));
  }
  if (input.T == 0) return;
  if (p.t >= grid.t && p.t > 0) {
    rules.fault(
        {"patchout.t"},
        fmt::format("patchout.t = {} leaves none of the {} columns of patches", p.t, grid.t));
  }
  const int64_t left =
      after_patchout({.t = p.t, .f = p.f, .t_p = p.t_p, .f_p = p.f_p}, grid).patches;
  if (p.u >= left && p.u > 0) {
    rules.fault({"patchout.u"},
                fmt::format("patchout.u = {} leaves none of the {} patches", p.u, left));
  }
}

void check_reductions(const Rules& rules, const Reductions& reductions, const ModelOptions& model) {
  const Arch arch = model.resolved();
  reductions.each([&](std::string_view section, const auto& options) {
    for (const ReducerFault& fault : options.faults(arch))
      rules.fault({fmt::format("{}.{}", section, fault.key)}, fault.text);
  });
}

void check_optimiser(const Rules& rules, const OptimiserOptions& optimiser) {
  if (optimiser.betas.size() != 2) {
    rules.fault({"optimiser.betas"},
                fmt::format("optimiser.betas are two numbers, as [0.9, 0.999]; here are {}",
                            optimiser.betas.size()));
  }
}

void check_kd(const Rules& rules, const KdOptions& kd) {
  if (kd.logits.empty()) {
    rules.fault(
        {"kd.enabled"},
        "kd.enabled needs kd.logits: a teach stage (\"${stages.NAME.output}\") or an .npy file");
    return;
  }
  check_reference_kind(rules, "kd.logits", kd.logits, {"teach"});
  const bool file = !recipe::parse_reference(kd.logits).has_value();
  if (file && !recipe::looks_like_path(kd.logits)) {
    rules.fault({"kd.logits"}, "kd.logits is neither a teach stage nor an .npy file");
  } else if (file && kd.index.empty()) {
    rules.fault({"kd.logits"},
                "kd.logits names a file: kd.index has to say which row is which clip");
  }
}

/// How a fresh network starts.
void check_start(const Rules& rules, const ModelOptions& model) {
  if (const auto fault = model.init_fault()) rules.fault({"model.init"}, *fault);
  const bool bias = model.head_bias != HeadBias::kAuto && model.head_bias != HeadBias::kInit;
  if (bias && is_cnn(model.resolved().family) && model.cnn_head == CnnHead::kAttention) {
    rules.fault({"model.head_bias"},
                "model.cnn_head = \"attention\" has no bias for model.head_bias to set");
  }
}

void check_train(const Rules& rules) {
  const auto o = TrainStageOptions::configure(rules.view());
  check_dataset(rules, o.dataset);
  check_frontend(rules, o.frontend);
  check_geometry(rules, o.model, o.frontend);
  check_weights(rules, o.model, o.frontend);
  check_start(rules, o.model);
  check_masks(rules, o.augment, o.frontend);
  check_loss(rules, o.train, o.dataset);
  check_epochs(rules, o.train, o.averaging);
  check_norm_groups(rules, o.train, o.model.resolved().family);
  check_optimiser(rules, o.optimiser);
  check_validation(rules, o.train, o.schedule, o.dataset);
  check_goals(rules, o.train, o.schedule, validation_metrics("train"));
  check_reductions(rules, o, o.model);
  if (o.patchout) check_patchout(rules, *o.patchout, o.model, o.frontend);
  if (o.kd) check_kd(rules, *o.kd);
  if (is_transformer(o.model.resolved().family) &&
      (o.model.head == Head::kNone || o.model.aggregator == Aggregator::kNone)) {
    rules.fault({"model.head", "model.aggregator"},
                "a model without head or aggregator has no classes to train");
  }
}

void check_pretrain(const Rules& rules) {
  const auto o = PretrainStageOptions::configure(rules.view());
  check_dataset(rules, o.dataset);
  check_frontend(rules, o.frontend);
  check_geometry(rules, o.model, o.frontend);
  check_weights(rules, o.model, o.frontend);
  check_start(rules, o.model);
  check_epochs(rules, o.train, o.averaging);
  check_norm_groups(rules, o.train, o.model.resolved().family);
  check_optimiser(rules, o.optimiser);
  check_validation(rules, o.train, o.schedule, o.dataset);
  std::vector<std::string_view> metrics = validation_metrics("pretrain");
  if (o.pretrain.task == PretrainTask::kGenerative) std::erase(metrics, "acc");
  if (o.pretrain.task == PretrainTask::kDiscriminative) std::erase(metrics, "loss_mse");
  check_goals(rules, o.train, o.schedule, metrics);
  const Arch arch = o.model.resolved();
  if (arch.family != Family::k_ssast) {
    rules.fault({"model.arch"},
                fmt::format("masked pretraining is of the ssast family; {} is not", o.model.arch));
    return;
  }
  const int64_t patches = patch_grid(o.model, input_geometry(o.frontend)).count();
  if (patches > 0 && o.pretrain.masked >= patches) {
    rules.fault({"pretrain.masked"}, fmt::format("pretrain.masked is {}, there are {} patches",
                                                 o.pretrain.masked, patches));
  }
  if (o.pretrain.cluster_min > o.pretrain.cluster_max) {
    rules.fault({"pretrain.cluster_min", "pretrain.cluster_max"},
                "pretrain.cluster_min is above pretrain.cluster_max");
  }
  if (arch.patch_f > 16 && o.pretrain.cluster_max > 0) {
    rules.fault(
        {"pretrain.cluster_max", "model.arch"},
        fmt::format(
            "patches of {} have no neighbours in frequency: pretrain.cluster_min = cluster_max = 0",
            o.model.arch));
  }
}

/// What the front end keeps of a window: all of it, or its end would not be scored.
void check_window(const Rules& rules, const EvalOptions& eval, const FrontendOptions& frontend) {
  if (eval.window_s <= 0) return;
  if (frontend.clip_s > 0) {
    if (eval.window_s <= frontend.clip_s) return;
    rules.fault(
        {"eval.window_s", "frontend.clip_s"},
        fmt::format("eval.window_s is {:g}, and frontend.clip_s keeps {:g} s of each window",
                    eval.window_s, frontend.clip_s));
    return;
  }
  FrontendOptions whole = frontend;
  whole.frames = 0;
  const int64_t frames =
      frames_of(whole, std::llround(eval.window_s * static_cast<double>(frontend.rate_hz)));
  if (frontend.frames == 0 || frames <= frontend.frames) return;
  rules.fault(
      {"eval.window_s", "frontend.frames"},
      fmt::format("eval.window_s is {:g}, which are {} frames, and frontend.frames keeps {}",
                  eval.window_s, frames, frontend.frames));
}

/// teach, evaluate, embed.
template <class T>
void check_scoring(const Rules& rules, bool needs_classes) {
  const T o = T::configure(rules.view());
  check_dataset(rules, o.dataset);
  check_checkpoints(rules, o.checkpoint, needs_classes, o.dataset);
  if (!o.model.arch.empty()) {
    check_frontend(rules, o.frontend);
    check_geometry(rules, o.model, o.frontend);
    check_reductions(rules, o, o.model);
  }
  check_window(rules, o.eval, o.frontend);
  if (o.eval.window_hop_s > 0 && o.eval.window_s == 0) {
    rules.fault({"eval.window_hop_s"}, "eval.window_hop_s needs eval.window_s");
  } else if (o.eval.window_hop_s > o.eval.window_s) {
    rules.fault({"eval.window_hop_s", "eval.window_s"},
                fmt::format("eval.window_hop_s is {:g}, more than eval.window_s {:g}: what lies "
                            "between the windows would not be scored",
                            o.eval.window_hop_s, o.eval.window_s));
  }
}

void check_split(const Rules& rules, const DatasetOptions& dataset, Split split) {
  check_split_is_there(rules, dataset, split);
  if (has_split(dataset, split)) return;
  const std::string name(recipe::enum_name(split));
  rules.fault({"split", "eval.split", "dataset." + name, "dataset.val_fold", "dataset.name"},
              fmt::format("there are no {} clips: dataset.{}", name, name));
}

/// The `each` of all stages that `key` of an aggregate names, in the order that it reads them.
std::vector<Each> check_aggregated(const Rules& rules, std::string_view key) {
  std::vector<Each> found;
  for (const std::string& text : rules.view().key_inputs(key).list) {
    const auto reference = recipe::parse_reference(text);
    if (!reference) {
      rules.fault({key},
                  fmt::format("{} takes outputs of stages: \"${{stages.NAME.output}}\"", key));
      continue;
    }
    check_reference_kind(rules, key, text, {"evaluate", "baseline"});
    for (const recipe::Instance* instance : rules.recipe().resolve(*reference, rules.instance()))
      found.push_back(instance->each);
  }
  return found;
}

void check_aggregate(const Rules& rules) {
  const std::vector<Each> inputs = check_aggregated(rules, "inputs"),
                          against = check_aggregated(rules, "against");
  if (!against.empty() && against != inputs) {
    rules.fault(
        {"against"},
        "against pairs with inputs: as many stages, with the same `each` in the same order");
  }
}

void check_instance(const Rules& rules) {
  const std::string& kind = rules.view().kind;
  if (kind == "train") check_train(rules);
  if (kind == "pretrain") check_pretrain(rules);
  if (kind == "prepare" || kind == "stats" || kind == "baseline") {
    const auto dataset = rules.view().build<DatasetOptions>();
    check_dataset(rules, dataset);
    check_frontend(rules, rules.view().build<FrontendOptions>());
    if (kind != "prepare") check_split_is_there(rules, dataset, Split::kTrain);
    if (kind == "baseline")
      check_split_is_there(rules, dataset,
                           BaselineStageOptions::configure(rules.view()).eval.split);
  }
  if (kind == "teach") {
    check_scoring<TeachStageOptions>(rules, true);
    const auto o = TeachStageOptions::configure(rules.view());
    check_split(rules, o.dataset, recipe::parse_enum<Split>(o.split).value_or(Split::kTrain));
  }
  if (kind == "evaluate") {
    check_scoring<EvaluateStageOptions>(rules, true);
    const auto o = EvaluateStageOptions::configure(rules.view());
    check_split(rules, o.dataset, o.eval.split);
  }
  if (kind == "embed") {
    check_scoring<EmbedStageOptions>(rules, false);
    const auto o = EmbedStageOptions::configure(rules.view());
    check_split_is_there(rules, o.dataset,
                         recipe::parse_enum<Split>(o.split).value_or(Split::kTest));
  }
  if (kind == "aggregate") check_aggregate(rules);
}

const recipe::Value* base_value(const recipe::Recipe& recipe, std::string_view section,
                                std::string_view key) {
  return recipe.base().find(section, key);
}

void check_without_data(const recipe::Recipe& recipe, recipe::FaultSink& faults) {
  const std::string variant = recipe.base().build<ExperimentOptions>().without_data;
  if (variant.empty()) return;
  std::vector<std::string> names;
  for (const recipe::VariantInfo& info : recipe.variants()) names.push_back(info.name);
  if (std::find(names.begin(), names.end(), variant) != names.end()) return;
  faults.fault(base_value(recipe, "experiment", "without_data"),
               fmt::format("experiment.without_data: the recipe has no variant '{}'", variant));
}

void check_sweep(const recipe::Recipe& recipe, recipe::FaultSink& faults) {
  const recipe::SweepSection& sweep = recipe.sweep();
  std::vector<std::string> goals = sweep.objectives;
  if (!sweep.metric.empty()) goals.push_back(sweep.metric);
  for (const std::string& goal : goals) {
    if (const auto why = why_no_metric(recipe, std::string_view(goal).substr(4)))
      faults.fault(nullptr, fmt::format("sweep: '{}': {}", goal, *why));
  }
  for (const auto& group : sweep.zip) {
    for (const std::string& key : group) {
      const auto same = [&key](const auto& param) { return param.first == key; };
      if (std::none_of(sweep.params.begin(), sweep.params.end(), same)) {
        faults.fault(nullptr, fmt::format("sweep.zip: '{}' is not in sweep.params", key));
      }
    }
  }
  if (sweep.strategy != recipe::SweepStrategy::kGrid && sweep.trials == 0) {
    faults.fault(nullptr, fmt::format("sweep.strategy = \"{}\" needs sweep.trials",
                                      recipe::enum_name(sweep.strategy)));
  }
}

}  // namespace

void check_recipe(const recipe::Recipe& recipe, recipe::FaultSink& faults) {
  for (const recipe::Stage& stage : recipe.stages()) {
    for (const recipe::Instance& instance : stage.instances) {
      if (!instance.view.faulty) check_instance(Rules(recipe, instance, faults));
    }
  }
  check_without_data(recipe, faults);
  check_sweep(recipe, faults);
}

void check_devices(const recipe::Recipe& recipe, int64_t devices) {
  for (const recipe::Stage& stage : recipe.stages()) {
    if (stage.kind != "train" && stage.kind != "pretrain") continue;
    for (const recipe::Instance& instance : stage.instances) {
      const auto train = instance.view.build<TrainOptions>();
      if (train.batch_size >= devices) continue;
      throw Error(
          fmt::format("stage {}: train.batch_size is {}: of {} devices some would have no clip",
                      instance.name, train.batch_size, devices));
    }
  }
}

}  // namespace xp::schema
