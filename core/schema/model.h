#pragma once

#include "core/recipe/options.h"
#include "core/schema/arch.h"

namespace xp::schema {

/// Names of Family's values (core/schema/arch.h).
constexpr auto names_of(Family) {
  return std::to_array<std::string_view>({
#define XP_MODEL(name, factory, body, help) #name,
#include "core/schema/models.inc"
#undef XP_MODEL
  });
}

enum class Aggregator { kClsDist, kCls, kDist, kMean, kNone };
XP_ENUM_NAMES(Aggregator, "cls_dist", "cls", "dist", "mean", "none")

enum class Head { kNormLinear, kLinear, kNone };
XP_ENUM_NAMES(Head, "norm_linear", "linear", "none")

enum class CnnHead { kMlp, kConv, kAttention };
XP_ENUM_NAMES(CnnHead, "mlp", "conv", "attention")

/// How the gates of several axes become one (EfficientAT, models/mn/block_types.py).
enum class SqueezeMerge { kMax, kAvg, kAdd, kMin };
XP_ENUM_NAMES(SqueezeMerge, "max", "avg", "add", "min")

enum class OnMismatch { kError, kWarn };
XP_ENUM_NAMES(OnMismatch, "error", "warn")

/// How the weights of a fresh network are drawn: the rules of the originals (core/model/init.h),
/// and two that are nobody's.
enum class InitRule { kAuto, kAst, kPasst, kSsast, kTorchOnly, kEfficientAt, kXavier, kNormal };
XP_ENUM_NAMES(InitRule, "auto", "ast", "passt", "ssast", "torchonly", "efficientat", "xavier",
              "normal")

/// Where the bias of the last layer starts: a class's logit before anything was learned.
enum class HeadBias { kAuto, kInit, kZero, kLogClasses, kFrequencies };
XP_ENUM_NAMES(HeadBias, "auto", "init", "zero", "log_classes", "frequencies")

/// Every listed name, and the published widths of the CNNs: for messages, completion and the JSON
/// Schema.
const std::vector<std::string>& arch_names();

inline bool accepts_arch(std::string_view name) { return find_arch(name).has_value(); }

/// [model].
struct ModelOptions {
  static constexpr std::string_view kSection = "model";
  static constexpr std::string_view kHelp = "the network and what it starts from";
  using Kind = Family;

  std::string arch;
  std::string weights = "none";
  InitRule init = InitRule::kAuto;
  HeadBias head_bias = HeadBias::kAuto;
  int64_t fstride = 10;
  int64_t tstride = 10;
  int64_t dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  Aggregator aggregator = Aggregator::kClsDist;
  Head head = Head::kNormLinear;
  double dropout = 0.0;
  double drop_path = 0.0;
  int64_t freeze_blocks = 0;
  int64_t cut_depth = 0;
  int64_t pos_frames = 0;
  double dy_temperature = 1.0;
  CnnHead cnn_head = CnnHead::kMlp;
  std::string se_dims = "c";
  SqueezeMerge se_agg = SqueezeMerge::kMax;
  bool strict = true;
  OnMismatch frontend_mismatch = OnMismatch::kError;

  /// `arch` looked up, with dim, depth and heads of the recipe where they are not 0, and the depth
  /// that `cut_depth` leaves (0: too few). Throws Error for an unknown name.
  Arch resolved() const;
  /// The blocks of the full model that `cut_depth` leaves, in order.
  std::vector<int64_t> source_blocks() const;

  /// `init`; for auto the rule of the original whose architecture and sizes these are, else xavier.
  InitRule init_rule() const;
  /// Why `init` is no rule for this architecture; nullopt when it is one.
  std::optional<std::string> init_fault() const;

  /// The family of an architecture's name; the recipe drops a section's other keys when it changes.
  static std::optional<Family> parse_kind(std::string_view arch);
  /// Names to suggest for a misspelt one.
  static const std::vector<std::string>& known_kinds() { return arch_names(); }
  /// SSAST's own aggregator is the mean over patches, and its strides are those of its patches.
  static ModelOptions of_kind(Family family) {
    ModelOptions o;
    if (family == Family::k_ssast) {
      o.aggregator = Aggregator::kMean;
      o.fstride = 0;
      o.tstride = 0;
    }
    if (is_cnn(family)) o.dropout = 0.2;
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = ModelOptions;
    v.kind("arch", &O::arch,
           {.required = true,
            .grammar = "an architecture (see `exp models`)",
            .accepts = &accepts_arch},
           "architecture, see `exp models`");
    v.field("weights", &O::weights, {.input = true},
            "\"none\", a name that `exp models --weights` lists, a checkpoint file, or a stage of "
            "the recipe");
    v.field("init", &O::init, {.off = "\"normal\""},
            "how fresh weights are drawn: an original's rule, Xavier's uniform by fans, or normal "
            "with std 0.02; auto: the original's where architecture and sizes are one's, else "
            "xavier");
    v.field("head_bias", &O::head_bias, {.off = "\"init\""},
            "where the last layer's bias starts: as init says, 0, -log(classes), or the log-odds "
            "of each class in the training split; auto: -log(classes) for a transformer trained "
            "from nothing with train.loss = bce, else init");
    v.field("fstride", &O::fstride,
            {.min = 0, .max = 128, .unit = "bins", .only = "ast passt ssast"},
            "mel bins between patch starts, 0 = no overlap; at most 16 for 16 x 16 patches");
    v.field("tstride", &O::tstride,
            {.min = 0, .max = 16, .unit = "frames", .only = "ast passt ssast"},
            "frames between patch starts, 0 = no overlap");
    v.field("dim", &O::dim, {.min = 0, .max = 8192, .only = "ast passt ssast"},
            "width of a token, 0 = of arch");
    v.field("depth", &O::depth, {.min = 0, .max = 96, .only = "ast passt ssast"},
            "blocks, 0 = of arch");
    v.field("heads", &O::heads, {.min = 0, .max = 128, .only = "ast passt ssast"},
            "attention heads, 0 = of arch");
    v.field("aggregator", &O::aggregator, {.only = "ast passt ssast"},
            "what the head sees: class and distillation token (their mean), one of them, or the "
            "mean of patches");
    v.field("head", &O::head, {.only = "ast passt ssast"},
            "classifier: LayerNorm and linear, linear, or none");
    v.field("dropout", &O::dropout, {.min = 0, .max = 0.9, .only = "ast dymn mn passt ssast"},
            "dropout in the blocks (CNNs: before the last layer)");
    v.field("drop_path", &O::drop_path, {.min = 0, .max = 0.9, .only = "ast passt ssast"},
            "stochastic depth at the last block, rising linearly from 0");
    v.field("freeze_blocks", &O::freeze_blocks, {.min = 0, .max = 96, .only = "ast passt ssast"},
            "patch embedding and this many first blocks are not trained");
    v.field(
        "cut_depth", &O::cut_depth, {.min = -95, .max = 95, .only = "passt"},
        "blocks removed after the first one; -n keeps each n-th between the first and the last");
    v.field("pos_frames", &O::pos_frames,
            {.min = 0, .max = 100000, .unit = "frames", .only = "passt"},
            "frames that the time position embedding covers, 0 = the input's");
    v.field(
        "dy_temperature", &O::dy_temperature,
        {.min = 0, .max = 1000, .open_min = true, .only = "dymn"},
        "temperature of the softmax over dynamic kernels where its schedule starts, which ends at "
        "1: 30 from nothing or ImageNet weights, 1 from and with AudioSet weights");
    v.field("cnn_head", &O::cnn_head, {.only = "mn dymn"}, "pooling and classifier of a CNN");
    v.field("se_dims", &O::se_dims, {.only = "mn", .choices = "c f t cf ct ft cft none"},
            "what squeeze-and-excitation gates: channels, frequencies, times; with t the model "
            "takes inputs of one length");
    v.field("se_agg", &O::se_agg, {.only = "mn"},
            "how the gated maps of several se_dims are merged");
    v.field("strict", &O::strict, {}, "weights that lack or have extra tensors are an error");
    v.field("frontend_mismatch", &O::frontend_mismatch, {},
            "what weights that were trained on another frontend than [frontend] do");
  }
};

}  // namespace xp::schema
