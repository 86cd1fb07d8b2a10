#include "core/recipe/language.h"

#include "core/recipe/recipe.h"
#include "core/schema/check.h"
#include "core/schema/load.h"
#include "core/schema/sections.h"
#include "core/schema/weights.h"

namespace xp::schema {
namespace {

enum class StageDo {
  kPrepare,
  kStats,
  kPretrain,
  kTrain,
  kTeach,
  kEvaluate,
  kBaseline,
  kEmbed,
  kAggregate
};
XP_ENUM_NAMES(StageDo, "prepare", "stats", "pretrain", "train", "teach", "evaluate", "baseline",
              "embed", "aggregate")

/// The keys of [stages.NAME] besides `with` and `each`.
struct StageKeys {
  static constexpr std::string_view kSection = "stages.NAME";
  static constexpr std::string_view kHelp =
      "what a stage does; `with` and `each` are described in docs/recipes.md";

  StageDo do_ = StageDo::kTrain;
  recipe::Inputs checkpoint;
  std::string split;
  recipe::Inputs inputs;
  recipe::Inputs against;
  std::string also;
  bool inherit = true;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = StageKeys;
    v.field("do", &O::do_, {.required = true, .sweepable = false}, "kind of stage");
    v.field("checkpoint", &O::checkpoint, {.sweepable = false, .input = true},
            "teach, evaluate, embed: a stage, a name that `exp models --weights` lists, or a file; "
            "an array is an "
            "ensemble, the mean of logits");
    v.field("split", &O::split, {.sweepable = false, .choices = "train val test"},
            "teach (train unless set), evaluate and embed (eval.split unless set): which clips");
    v.field("inputs", &O::inputs, {.sweepable = false, .input = true},
            "aggregate: outputs of other stages");
    v.field(
        "against", &O::against, {.sweepable = false, .input = true},
        "aggregate: stages with the same `each` as inputs; adds METRIC_difference, the mean and "
        "interval of inputs - against, paired; of one input, the interval over its clips");
    v.field("also", &O::also, {.sweepable = false, .choices = "best_mean_epoch"},
            "aggregate: best_mean_epoch adds the epoch with the best mean, printed beside and "
            "never the headline");
    v.field("inherit", &O::inherit, {.sweepable = false, .off = "true"},
            "false: of the recipe's own sections only [dataset] and [eval] reach this stage, so "
            "that it stays the same whatever is set for the others; all else comes from `with` or "
            "is at its default, experiment.seed too");
  }
};

bool is_reducer(std::string_view section) {
  const auto all = reducer_sections();
  return std::find(all.begin(), all.end(), section) != all.end();
}

/// Conditional reads: what a stage's options are not built from, the stage does not read.
bool reads(const recipe::View& view, std::string_view section, std::string_view key) {
  if (section == "patchout" || is_reducer(section)) {
    const recipe::Value* arch = view.find("model", "arch");
    const std::string* name = arch == nullptr ? nullptr : arch->get<std::string>();
    return name == nullptr || may_have_tokens(*name);
  }
  if (section == "kd" && key != "enabled") {
    const recipe::Value* enabled = view.find("kd", "enabled");
    return enabled != nullptr && enabled->get<bool>() != nullptr && *enabled->get<bool>();
  }
  if (section == "experiment") return key == "seed";
  return true;
}

bool reads_rate_alone(const recipe::View& view, std::string_view section, std::string_view key) {
  return section == "frontend" ? key == "rate_hz" || key == "kind" : reads(view, section, key);
}

bool reads_loss_alone(const recipe::View& view, std::string_view section, std::string_view key) {
  return section == "train" ? key == "loss" : reads(view, section, key);
}

std::vector<recipe::StageKindSpec> stage_kinds() {
  const std::vector<std::string> training = {"experiment", "dataset",  "frontend", "augment",
                                             "sampler",    "model",    "train",    "optimiser",
                                             "schedule",   "averaging"};
  const auto reducers = reducer_sections();
  std::vector<std::string> scoring = {"experiment", "dataset", "frontend", "model"};
  scoring.insert(scoring.end(), reducers.begin(), reducers.end());
  scoring.emplace_back("eval");
  const std::vector<std::string> checkpoints = {"output", "best", "last", "average"};
  const std::vector<std::string> carried = {"model", "frontend"};
  const std::vector<std::string> adaptable = {"frontend.frames", "model.fstride", "model.tstride"};
  std::vector<std::string> pretraining = training;
  pretraining.emplace_back("pretrain");
  std::vector<std::string> supervised = training;
  supervised.insert(supervised.end(), reducers.begin(), reducers.end());
  supervised.insert(supervised.end(), {"patchout", "kd"});
  std::vector<std::string> evaluating = scoring;
  evaluating.emplace_back("train");
  std::vector<recipe::StageKindSpec> out;
  out.push_back({"prepare",
                 "decodes and resamples audio into shards; added where it is not written",
                 {"dataset", "frontend"},
                 {"inherit"},
                 {},
                 {"output"},
                 false,
                 {},
                 {},
                 &reads_rate_alone});
  out.push_back({"stats",
                 "mean and deviation of the log-mel, for frontend.norm",
                 {"dataset", "frontend"},
                 {"inherit"},
                 {},
                 {"output"},
                 false,
                 {},
                 {},
                 &reads});
  out.push_back({"pretrain",
                 "masked pretraining",
                 pretraining,
                 {"inherit"},
                 {},
                 checkpoints,
                 false,
                 {},
                 {},
                 &reads});
  out.push_back({"train",
                 "supervised training, with distillation where kd.enabled",
                 supervised,
                 {"inherit"},
                 {},
                 checkpoints,
                 false,
                 {},
                 {},
                 &reads});
  out.push_back({"teach",
                 "a teacher's logits over a split, written once",
                 scoring,
                 {"checkpoint", "split", "inherit"},
                 {"checkpoint"},
                 {"output"},
                 false,
                 carried,
                 adaptable,
                 &reads});
  out.push_back({"evaluate",
                 "metrics, throughput, latency and memory over a split",
                 evaluating,
                 {"checkpoint", "split", "inherit"},
                 {"checkpoint"},
                 {"output"},
                 true,
                 carried,
                 adaptable,
                 &reads_loss_alone});
  out.push_back(
      {"baseline",
       "logistic regression on mean and deviation of each mel band: what a model has to beat",
       {"experiment", "dataset", "frontend", "train", "eval"},
       {"inherit"},
       {},
       {"output"},
       true,
       {},
       {},
       &reads_loss_alone});
  out.push_back({"embed",
                 "embeddings of every clip of a split",
                 scoring,
                 {"checkpoint", "split", "inherit"},
                 {"checkpoint"},
                 {"output"},
                 true,
                 carried,
                 adaptable,
                 &reads});
  out.push_back({"aggregate",
                 "mean, deviation and interval over the outputs of other stages",
                 {},
                 {"inputs", "against", "also"},
                 {"inputs"},
                 {"output"},
                 true,
                 {},
                 {},
                 &reads});
  return out;
}

recipe::Language make_language() {
  using recipe::describe_section;
  recipe::Language out;
  out.sections.push_back(describe_section<ExperimentOptions>());
  out.sections.push_back(describe_section<DatasetOptions>());
  out.sections.push_back(describe_section<FrontendOptions>());
  out.sections.push_back(describe_section<AugmentOptions>());
  out.sections.push_back(describe_section<SamplerOptions>());
  out.sections.push_back(describe_section<ModelOptions>());
#define XP_REDUCER(section, Options) out.sections.push_back(describe_section<Options>());
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  out.sections.push_back(describe_section<PatchoutOptions>());
  out.sections.push_back(describe_section<KdOptions>());
  out.sections.push_back(describe_section<PretrainOptions>());
  out.sections.push_back(describe_section<TrainOptions>());
  out.sections.push_back(describe_section<OptimiserOptions>());
  out.sections.push_back(describe_section<ScheduleOptions>());
  out.sections.push_back(describe_section<AveragingOptions>());
  out.sections.push_back(describe_section<EvalOptions>());
  out.stage_keys = describe_section<StageKeys>();
  out.sweep = describe_section<recipe::SweepSection>();
  out.stage_kinds = stage_kinds();
  out.carry = &carry_published;
  out.check = &check_recipe;
  return out;
}

}  // namespace

const recipe::Language& language() {
  static const recipe::Language the_language = make_language();
  return the_language;
}

recipe::Recipe load_recipe(const std::filesystem::path& path, const recipe::LoadOptions& options) {
  return recipe::load(language(), path, options);
}

}  // namespace xp::schema
