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

/// Learnt tokens in front of the patches.
enum class SpecialTokens { kClsDist, kCls, kNone };
XP_ENUM_NAMES(SpecialTokens, "cls_dist", "cls", "none")

/// Between the two layers of a block's MLP; GELU is the exact one.
enum class MlpActivation { kGelu, kRelu };
XP_ENUM_NAMES(MlpActivation, "gelu", "relu")

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

struct ModelOptions;

/// Of a transformer that no list of ours has.
struct TransformerSizes {
  int64_t dim, depth, heads, patch_f, patch_t;
};
/// Makes `model.arch` the listed architecture of that family and those sizes, or else the family's
/// largest, with keys for all sizes that are not its own.
void set_sizes(ModelOptions& model, Family family, const TransformerSizes& sizes);

/// [model].
struct ModelOptions {
  static constexpr std::string_view kSection = "model";
  static constexpr std::string_view kHelp = "the network and what it starts from";
  using Kind = Family;

  std::string arch;
  std::string weights = "none";
  std::vector<int64_t> weights_grid;
  int64_t weights_fstride = 0;
  int64_t weights_mel_bins = 0;
  InitRule init = InitRule::kAuto;
  HeadBias head_bias = HeadBias::kAuto;
  int64_t fstride = 10;
  int64_t tstride = 10;
  int64_t dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t mlp_dim = 0;
  int64_t patch_f = 0;
  int64_t patch_t = 0;
  SpecialTokens special_tokens = SpecialTokens::kClsDist;
  bool norm_first = true;
  MlpActivation activation = MlpActivation::kGelu;
  double norm_eps = 1e-6;
  bool final_norm = true;
  double final_norm_eps = 0;
  double head_norm_eps = 1e-5;
  int64_t mean_skips = -1;
  Aggregator aggregator = Aggregator::kClsDist;
  Head head = Head::kNormLinear;
  double dropout = 0.0;
  double drop_path = 0.0;
  int64_t freeze_blocks = 0;
  int64_t cut_depth = 0;
  int64_t pos_frames = 0;
  double dy_temperature = 1.0;
  double dy_temperature_slope = 1.0;
  double dy_temperature_tail = 0.02;
  double dy_temperature_least = 1.0;
  CnnHead cnn_head = CnnHead::kMlp;
  int64_t multihead_attention_heads = 4;
  double width = 0;
  std::vector<int64_t> strides;
  bool dilated = false;
  bool reduced_tail = false;
  std::string se_dims = "c";
  SqueezeMerge se_agg = SqueezeMerge::kMax;
  int64_t se_r = 4;
  bool no_dyconv = false;
  int64_t dyconv_k = 4;
  bool no_dyrelu = false;
  int64_t dyrelu_k = 2;
  bool no_ca = false;
  int64_t context_ratio = 4;
  int64_t min_context_size = 32;
  int64_t max_context_size = 128;
  bool strict = true;
  OnMismatch frontend_mismatch = OnMismatch::kError;

  /// `arch` looked up, with dim, depth and heads of the recipe where they are not 0, and the depth
  /// that `cut_depth` leaves (0: too few). Throws Error for an unknown name.
  Arch resolved() const;
  /// Learnt tokens in front of the patches: 0, 1 or 2.
  int64_t token_count() const { return 2 - static_cast<int64_t>(special_tokens); }
  /// Which keys of this section cannot stand together, in words; nullopt when they can.
  std::optional<std::string> fault() const;
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
    v.field("weights_grid", &O::weights_grid,
            {.min = 1, .max = 100000, .only = "ast passt ssast", .off = "[]"},
            "rows and columns of the patches whose positions model.weights lists, where the file "
            "does not say them; [] = they follow from weights_fstride and weights_mel_bins");
    v.field("weights_fstride", &O::weights_fstride,
            {.min = 0, .max = 128, .unit = "bins", .only = "ast passt ssast", .off = "0"},
            "mel bins between the patches of model.weights, 0 = fstride");
    v.field("weights_mel_bins", &O::weights_mel_bins,
            {.min = 0, .max = 512, .unit = "bins", .only = "ast passt ssast", .off = "0"},
            "mel bins that model.weights was trained on, 0 = frontend.mel_bins");
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
    v.field("mlp_dim", &O::mlp_dim, {.min = 0, .max = 32768, .only = "ast passt ssast", .off = "0"},
            "hidden width of a block's MLP, 0 = four times that of a token");
    v.field("patch_f", &O::patch_f,
            {.min = 0, .max = 512, .unit = "bins", .only = "ast passt ssast", .off = "0"},
            "mel bins of a patch, 0 = of arch");
    v.field("patch_t", &O::patch_t,
            {.min = 0, .max = 512, .unit = "frames", .only = "ast passt ssast", .off = "0"},
            "frames of a patch, 0 = of arch");
    v.field("special_tokens", &O::special_tokens,
            {.only = "ast passt ssast", .off = "\"cls_dist\""},
            "learnt tokens in front of the patches: class and distillation token, the first, none");
    v.field("norm_first", &O::norm_first, {.only = "ast passt ssast", .off = "true"},
            "layer normalisation before attention and MLP; false: after each residual sum");
    v.field("activation", &O::activation, {.only = "ast passt ssast", .off = "\"gelu\""},
            "between the two layers of a block's MLP");
    v.field("norm_eps", &O::norm_eps,
            {.min = 0, .max = 1, .open_min = true, .only = "ast passt ssast", .off = "1e-6"},
            "epsilon of the layer normalisations");
    v.field("final_norm", &O::final_norm, {.only = "ast passt ssast", .off = "true"},
            "layer normalisation after the last block");
    v.field("final_norm_eps", &O::final_norm_eps,
            {.min = 0, .max = 1, .only = "ast passt ssast", .off = "0.0"},
            "epsilon of final_norm, 0 = norm_eps");
    v.field("head_norm_eps", &O::head_norm_eps,
            {.min = 0, .max = 1, .open_min = true, .only = "ast passt ssast", .off = "1e-5"},
            "epsilon of the classifier's layer normalisation");
    v.field("aggregator", &O::aggregator, {.only = "ast passt ssast"},
            "what the head sees: class and distillation token (their mean), one of them, or the "
            "mean of patches");
    v.field("mean_skips", &O::mean_skips,
            {.min = -1, .max = 2, .only = "ast passt ssast", .off = "-1"},
            "tokens at the front that aggregator = \"mean\" leaves out, -1 = the special tokens");
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
    v.field("dy_temperature_slope", &O::dy_temperature_slope,
            {.min = 0, .max = 1000, .open_min = true, .only = "dymn", .off = "1.0"},
            "what dy_temperature loses an epoch at first");
    v.field("dy_temperature_tail", &O::dy_temperature_tail,
            {.min = 0, .max = 1000, .only = "dymn", .off = "0.02"},
            "what it loses an epoch near its end");
    v.field("dy_temperature_least", &O::dy_temperature_least,
            {.min = 0, .max = 1000, .open_min = true, .only = "dymn", .off = "1.0"},
            "where it ends");
    v.field("cnn_head", &O::cnn_head, {.only = "mn dymn"}, "pooling and classifier of a CNN");
    v.field("multihead_attention_heads", &O::multihead_attention_heads,
            {.min = 1, .max = 64, .only = "mn", .off = "4"}, "heads of cnn_head = \"attention\"");
    v.field("width", &O::width, {.min = 0, .max = 10, .only = "dymn mn", .off = "0.0"},
            "factor of all channels, 0 = of arch");
    v.field("strides", &O::strides, {.min = 1, .max = 2, .only = "dymn mn", .off = "[]"},
            "strides of the four stages that halve the map, [] = of arch");
    v.field("dilated", &O::dilated, {.only = "dymn mn", .off = "false"},
            "the last three blocks are dilated by 2, and the fourth stage does not halve the map");
    v.field("reduced_tail", &O::reduced_tail, {.only = "dymn mn", .off = "false"},
            "the last three blocks and the classifier have half the channels");
    v.field("se_dims", &O::se_dims,
            {.only = "mn", .choices = "c f t cf fc ct tc ft tf cft ctf fct ftc tcf tfc none"},
            "what squeeze-and-excitation gates: channels, frequencies, times; with t the model "
            "takes inputs of one length");
    v.field("se_agg", &O::se_agg, {.only = "mn"},
            "how the gated maps of several se_dims are merged");
    v.field("se_r", &O::se_r, {.min = 1, .max = 1024, .only = "mn", .off = "4"},
            "size of what squeeze-and-excitation gates over its bottleneck's");
    v.field("no_dyconv", &O::no_dyconv, {.only = "dymn", .off = "false"},
            "plain convolutions in place of dynamic ones");
    v.field("dyconv_k", &O::dyconv_k, {.min = 1, .max = 64, .only = "dymn", .off = "4"},
            "kernels that a dynamic convolution mixes");
    v.field("no_dyrelu", &O::no_dyrelu, {.only = "dymn", .off = "false"},
            "ReLU and hard swish in place of the dynamic ReLU");
    v.field("dyrelu_k", &O::dyrelu_k, {.min = 1, .max = 64, .only = "dymn", .off = "2"},
            "lines of a dynamic ReLU");
    v.field("no_ca", &O::no_ca, {.only = "dymn", .off = "false"}, "no coordinate attention");
    v.field("context_ratio", &O::context_ratio, {.min = 1, .max = 1024, .only = "dymn", .off = "4"},
            "expanded channels of a dynamic block over the size of its context");
    v.field("min_context_size", &O::min_context_size,
            {.min = 1, .max = 65536, .only = "dymn", .off = "32"},
            "least size of a context, times the width");
    v.field("max_context_size", &O::max_context_size,
            {.min = 1, .max = 65536, .only = "dymn", .off = "128"},
            "largest size of a context, times the width");
    v.field("strict", &O::strict, {}, "weights that lack or have extra tensors are an error");
    v.field("frontend_mismatch", &O::frontend_mismatch, {},
            "what weights that were trained on another frontend than [frontend] do");
  }
};

}  // namespace xp::schema
