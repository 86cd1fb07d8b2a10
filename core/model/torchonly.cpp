// Reads TorchOnlyAST's resolved_config. The archive has it as flat text, one entry a leaf
// ("resolved_config.model.embedding.stride" = "[10,10]"). Each argument is asked for by name; what
// nobody asked for at the end is an argument that this program does not know, and an error.
#include "core/model/torchonly.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using checkpoint::printable;
using schema::Aggregator;
using schema::Family;
using schema::Head;
using schema::ModelOptions;

constexpr std::string_view kRoot = "resolved_config.model.";

class Config {
 public:
  Config(const Archive& archive, std::filesystem::path file) : file_(std::move(file)) {
    for (const auto* part : {&archive.metadata(), &archive.opaque()}) {
      for (const auto& [key, value] : *part)
        if (key.starts_with(kRoot)) leaves_[key.substr(kRoot.size())] = value;
    }
  }

  /// Something stands at `key` or below it, and it is not null.
  bool has(const std::string& key) const {
    const auto found = leaves_.find(key);
    if (found != leaves_.end()) return found->second != "null";
    const auto below = leaves_.lower_bound(key + ".");
    return below != leaves_.end() && below->first.starts_with(key + ".");
  }

  std::string text(const std::string& key, const std::string& otherwise = "") {
    read_.insert(key);
    const auto found = leaves_.find(key);
    return found == leaves_.end() || found->second == "null" ? otherwise : found->second;
  }
  template <class T>
  T value(const std::string& key, T otherwise) {
    const std::string found = text(key);
    if (found.empty()) return otherwise;
    const auto json = nlohmann::json::parse(found, nullptr, false);
    const bool fits = std::is_same_v<T, bool>      ? json.is_boolean()
                      : std::is_same_v<T, int64_t> ? json.is_number_integer()
                                                   : json.is_number();
    if (!fits) refuse(key);
    return json.template get<T>();
  }
  int64_t number(const std::string& key) {
    if (!has(key)) bad(fmt::format("{}{} is missing", kRoot, key));
    return value<int64_t>(key, 0);
  }
  /// Height and width: a number for both, or a list.
  schema::Grid pair(const std::string& key) {
    const auto json = nlohmann::json::parse(text(key), nullptr, false);
    if (json.is_number_integer()) return {json.get<int64_t>(), json.get<int64_t>()};
    if (!json.is_array() || json.size() != 2 || !json[0].is_number_integer() ||
        !json[1].is_number_integer())
      refuse(key);
    return {json[0].get<int64_t>(), json[1].get<int64_t>()};
  }
  /// The class that is built, without the names of its modules. Classes of others may compute
  /// anything.
  std::string target(const std::string& key, std::string_view package) {
    const std::string whole = text(key + (key.empty() ? "" : ".") + "_target_");
    if (!whole.starts_with(package)) refuse(key + (key.empty() ? "" : ".") + "_target_");
    return whole.substr(whole.rfind('.') + 1);
  }
  void pass_over(const std::string& prefix) { passed_.push_back(prefix); }

  [[noreturn]] void bad(const std::string& what) const {
    throw Error(Place{file_.string()}, printable(what), Exit::kData);
  }
  [[noreturn]] void refuse(const std::string& key) const {
    const auto found = leaves_.find(key);
    bad(fmt::format("its {}{} = {} is nothing that exp computes", kRoot, key,
                    found == leaves_.end() ? "(left out)" : found->second));
  }
  void refuse_others() const {
    for (const auto& [key, value] : leaves_) {
      const std::string& name = key;
      const bool passed =
          std::any_of(passed_.begin(), passed_.end(),
                      [&](const std::string& prefix) { return name.starts_with(prefix); });
      // What hydra itself reads, and what says where tensors are made.
      const std::string leaf = name.substr(name.rfind('.') + 1);
      const bool of_hydra = leaf == "_convert_" || leaf == "_recursive_" || leaf == "_partial_";
      const bool place = (leaf == "device" || leaf == "dtype") && value == "null";
      if (read_.count(name) == 0 && !passed && !of_hydra && !place && value != "null") refuse(name);
    }
  }

 private:
  std::map<std::string, std::string> leaves_;
  std::set<std::string> read_;
  std::vector<std::string> passed_;
  std::filesystem::path file_;
};

/// Builds a TorchOnlyConfig out of a whole config.
class Reader {
 public:
  explicit Reader(Config config) : config_(std::move(config)) {}

  TorchOnlyConfig read() {
    const std::string name = config_.target("", "torch_only_ast.");
    const bool masked = name.find("MPM") != name.npos || name.find("MaskedPatch") != name.npos;
    const bool ssast = name.starts_with("SSAST") || name.find("SelfSupervised") != name.npos;
    const bool known = ssast || masked || name == "AST" || name == "PaSST" ||
                       name == "AudioSpectrogramTransformer";
    if (!known) config_.refuse("_target_");
    embedding(ssast || masked);
    backbone();
    if (masked) {
      for (const char* part : {"masker.", "reconstructor.", "classifier."}) config_.pass_over(part);
      out_.model.aggregator = Aggregator::kNone;
      out_.model.head = Head::kNone;
    } else {
      patchout();
      aggregator();
      head();
    }
    config_.refuse_others();
    const schema::Grid& s = sizes_.patch;
    schema::set_sizes(out_.model, family_, {sizes_.dim, sizes_.depth, sizes_.heads, s.f, s.t});
    return std::move(out_);
  }

 private:
  void embedding(bool ssast) {
    const std::string name = config_.target("embedding", "torch_only_ast.");
    const bool separate = name == "DisentangledPositionalPatchEmbedding";
    if (!separate && name != "PositionalPatchEmbedding") config_.refuse("embedding._target_");
    family_ = separate ? Family::k_passt : ssast ? Family::k_ssast : Family::k_ast;
    out_.model = ModelOptions::of_kind(family_);
    sizes_.dim = config_.number("embedding.embedding_dim");
    sizes_.patch = config_.pair("embedding.kernel_size");
    const schema::Grid stride =
        config_.has("embedding.stride") ? config_.pair("embedding.stride") : sizes_.patch;
    out_.model.fstride = stride.f;
    out_.model.tstride = stride.t;
    out_.input = {config_.number("embedding.n_bins"), config_.number("embedding.n_frames")};
    if (separate) {
      const int64_t columns = schema::patches_along(out_.input.T, sizes_.patch.t, stride.t);
      out_.model.pos_frames = columns * stride.t;
      if (config_.value("embedding.support_extrapolation", false))
        config_.refuse("embedding.support_extrapolation");
    }
    const bool cls = config_.value("embedding.insert_cls_token", false);
    const bool dist = config_.value("embedding.insert_dist_token", false);
    if (dist && !cls) config_.refuse("embedding.insert_dist_token");
    out_.model.special_tokens = dist  ? schema::SpecialTokens::kClsDist
                                : cls ? schema::SpecialTokens::kCls
                                      : schema::SpecialTokens::kNone;
    embedding_dropout_ = config_.value("embedding.dropout", 0.0);
  }

  void backbone() {
    if (config_.target("backbone", "torch.nn.") != "TransformerEncoder")
      config_.refuse("backbone._target_");
    const std::string layer = "backbone.encoder_layer.";
    if (config_.target("backbone.encoder_layer", "torch.nn.") != "TransformerEncoderLayer")
      config_.refuse(layer + "_target_");
    // Neither changes a number.
    config_.pass_over("backbone.enable_nested_tensor");
    config_.pass_over("backbone.mask_check");
    for (const char* needed : {"batch_first", "bias"}) {
      const bool by_default = needed == std::string_view("bias");
      if (!config_.value(layer + needed, by_default)) config_.refuse(layer + needed);
    }
    if (config_.number(layer + "d_model") != sizes_.dim) config_.refuse(layer + "d_model");
    sizes_.heads = config_.number(layer + "nhead");
    sizes_.depth = config_.number("backbone.num_layers");
    ModelOptions& model = out_.model;
    const int64_t hidden = config_.value<int64_t>(layer + "dim_feedforward", 2048);
    model.mlp_dim = hidden == 4 * sizes_.dim ? 0 : hidden;
    model.norm_first = config_.value(layer + "norm_first", false);
    model.norm_eps = config_.value(layer + "layer_norm_eps", 1e-5);
    model.dropout = config_.value(layer + "dropout", 0.1);
    if (model.dropout != embedding_dropout_) {
      out_.notes.push_back(fmt::format(
          "its dropout is {} in the encoder and {} after the embedding: in training here "
          "model.dropout is that of both",
          model.dropout, embedding_dropout_));
    }
    activation(layer + "activation");
    model.final_norm = config_.has("backbone.norm");
    if (!model.final_norm) return;
    if (config_.target("backbone.norm", "torch.nn.") != "LayerNorm")
      config_.refuse("backbone.norm._target_");
    for (const char* needed : {"elementwise_affine", "bias"}) {
      const std::string key = std::string("backbone.norm.") + needed;
      if (!config_.value(key, true)) config_.refuse(key);
    }
    config_.pass_over("backbone.norm.normalized_shape");  // the tensor's own
    const double eps = config_.value("backbone.norm.eps", 1e-5);
    model.final_norm_eps = eps == model.norm_eps ? 0 : eps;
  }

  /// A name, or the class or function that is called; PyTorch's default is ReLU.
  void activation(const std::string& key) {
    const bool built = config_.has(key + "._target_");
    const std::string whole = built ? config_.text(key + "._target_") : config_.text(key, "relu");
    std::string name = whole.substr(whole.rfind('.') + 1);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool exact = config_.text(key + ".approximate", "none") == "none";
    if ((name != "gelu" && name != "relu") || (built && !whole.starts_with("torch.")) || !exact)
      config_.refuse(built ? key + "._target_" : key);
    config_.pass_over(key + ".inplace");
    out_.model.activation =
        name == "relu" ? schema::MlpActivation::kRelu : schema::MlpActivation::kGelu;
  }

  /// Patchout acts in training, where the recipe says it.
  void patchout() {
    if (!config_.has("dropout")) return;
    const std::string name = config_.target("dropout", "torch_only_ast.");
    const char* const per = config_.value("dropout.sample_wise", false) ? "clip" : "batch";
    std::string keys;
    if (name == "StructuredPatchout") {
      keys = fmt::format("f = {}, t = {}", config_.value<int64_t>("dropout.num_frequency_drops", 0),
                         config_.value<int64_t>("dropout.num_time_drops", 0));
    } else if (name == "UnstructuredPatchout") {
      keys = fmt::format("u = {}", config_.number("dropout.num_drops"));
    } else {
      config_.refuse("dropout._target_");
    }
    out_.notes.push_back(fmt::format(
        "its {} acts in training alone: a recipe says it as [patchout] {}, per = \"{}\"", name,
        keys, per));
  }

  /// Both aggregators count tokens from the front and do not know which they are.
  void aggregator() {
    ModelOptions& model = out_.model;
    if (!config_.has("aggregator")) {
      model.aggregator = Aggregator::kNone;
      return;
    }
    const std::string name = config_.target("aggregator", "torch_only_ast.");
    const int64_t counted =
        static_cast<int64_t>(config_.value("aggregator.insert_cls_token", true)) +
        static_cast<int64_t>(config_.value("aggregator.insert_dist_token", true));
    if (name == "AverageAggregator") {
      model.aggregator = Aggregator::kMean;
      model.mean_skips = counted == model.token_count() ? -1 : counted;
    } else if (name == "HeadTokensAggregator") {
      // Without such a token it would take a patch for it.
      if (counted == 0 || counted > model.token_count())
        config_.refuse("aggregator.insert_dist_token");
      model.aggregator = counted == 2 ? Aggregator::kClsDist : Aggregator::kCls;
    } else {
      config_.refuse("aggregator._target_");
    }
  }

  void head() {
    if (!config_.has("head")) {
      out_.model.head = Head::kNone;
      return;
    }
    if (config_.target("head", "torch_only_ast.") != "MLPHead") config_.refuse("head._target_");
    // It would classify every token.
    if (out_.model.aggregator == Aggregator::kNone) {
      config_.bad(
          fmt::format("its {0}aggregator is null and its {0}head is not: classes of each "
                      "token are nothing that exp computes",
                      kRoot));
    }
    if (config_.number("head.in_channels") != sizes_.dim) config_.refuse("head.in_channels");
    config_.number("head.out_channels");
    out_.model.head = Head::kNormLinear;
  }

  struct Sizes {
    int64_t dim = 0, depth = 0, heads = 0;
    schema::Grid patch;
  };

  Config config_;
  TorchOnlyConfig out_;
  Family family_ = Family::k_ast;
  Sizes sizes_;
  double embedding_dropout_ = 0;
};

}  // namespace

std::optional<TorchOnlyConfig> torchonly_config(const Archive& archive,
                                                const std::filesystem::path& file) {
  const std::string root(kRoot.substr(0, kRoot.size() - 1));
  for (const auto& [key, type] : archive.opaque()) {
    if (key == root || key == "resolved_config") {
      throw Error(Place{file.string()},
                  fmt::format("its resolved_config is an object of class {}; save it as "
                              "OmegaConf.to_container(config, resolve=True)",
                              printable(type)),
                  Exit::kData);
    }
  }
  Config config(archive, file);
  if (!config.has("backbone")) return std::nullopt;
  return Reader(std::move(config)).read();
}

}  // namespace xp::model
