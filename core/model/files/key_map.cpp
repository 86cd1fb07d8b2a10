#include "core/model/files/key_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/model/files/archive_tensors.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using checkpoint::Entry;
using F = Form;

// The blocks of timm's transformers, which AST, SSAST and PaSST use under other prefixes and we
// under none.
#define XP_TIMM(p)                                                                              \
  {p "cls_token", "cls_token"}, {p "dist_token", "dist_token"},                                 \
      {p "patch_embed.proj.weight", "patch_embed.proj.weight"},                                 \
      {p "patch_embed.proj.bias", "patch_embed.proj.bias"},                                     \
      {p "blocks.#.norm1.weight", "blocks.#.norm1.weight"},                                     \
      {p "blocks.#.norm1.bias", "blocks.#.norm1.bias"},                                         \
      {p "blocks.#.attn.qkv.weight", "blocks.#.attn.qkv.weight"},                               \
      {p "blocks.#.attn.qkv.bias", "blocks.#.attn.qkv.bias"},                                   \
      {p "blocks.#.attn.proj.weight", "blocks.#.attn.proj.weight"},                             \
      {p "blocks.#.attn.proj.bias", "blocks.#.attn.proj.bias"},                                 \
      {p "blocks.#.norm2.weight", "blocks.#.norm2.weight"},                                     \
      {p "blocks.#.norm2.bias", "blocks.#.norm2.bias"},                                         \
      {p "blocks.#.mlp.fc1.weight", "blocks.#.mlp.fc1.weight"},                                 \
      {p "blocks.#.mlp.fc1.bias", "blocks.#.mlp.fc1.bias"},                                     \
      {p "blocks.#.mlp.fc2.weight", "blocks.#.mlp.fc2.weight"},                                 \
      {p "blocks.#.mlp.fc2.bias", "blocks.#.mlp.fc2.bias"}, {p "norm.weight", "norm.weight"}, { \
    p "norm.bias", "norm.bias"                                                                  \
  }

constexpr auto kAst = std::to_array<KeyRule>({
    XP_TIMM("v."),
    {"v.pos_embed", "pos.grid", F::kSequence},
    {"mlp_head.0.weight", "head.norm.weight"},
    {"mlp_head.0.bias", "head.norm.bias"},
    {"mlp_head.1.weight", "head.linear.weight"},
    {"mlp_head.1.bias", "head.linear.bias"},
    {"v.head.*", "", F::kDead},
    {"v.head_dist.*", "", F::kDead},
});

constexpr auto kSsast = std::to_array<KeyRule>({
    XP_TIMM("v."),
    {"v.pos_embed", "pos.grid", F::kSequence},
    {"mask_embed", "mask_embed"},
    {"cpredlayer.0.weight", "cpredlayer.0.weight"},
    {"cpredlayer.0.bias", "cpredlayer.0.bias"},
    {"cpredlayer.2.weight", "cpredlayer.2.weight"},
    {"cpredlayer.2.bias", "cpredlayer.2.bias"},
    {"gpredlayer.0.weight", "gpredlayer.0.weight"},
    {"gpredlayer.0.bias", "gpredlayer.0.bias"},
    {"gpredlayer.2.weight", "gpredlayer.2.weight"},
    {"gpredlayer.2.bias", "gpredlayer.2.bias"},
    {"p_input_fdim", "", F::kDead},
    {"p_input_tdim", "", F::kDead},
    {"v.head.*", "", F::kDead},
    {"v.head_dist.*", "", F::kDead},
});

constexpr auto kDeit = std::to_array<KeyRule>({
    XP_TIMM(""),
    {"pos_embed", "pos.grid", F::kSequence},
    {"head.*", "", F::kDead},
    {"head_dist.*", "", F::kDead},
    {"pre_logits.*", "", F::kDead},
});

constexpr auto kPasst = std::to_array<KeyRule>({
    XP_TIMM(""),
    {"new_pos_embed", "pos.special", F::kRows},
    {"freq_new_pos_embed", "pos.freq", F::kFreqAxis},
    {"time_new_pos_embed", "pos.time", F::kTimeAxis},
    {"head.0.weight", "head.norm.weight"},
    {"head.0.bias", "head.norm.bias"},
    {"head.1.weight", "head.linear.weight"},
    {"head.1.bias", "head.linear.bias"},
    {"head_dist.*", "", F::kDead},
});

constexpr auto kTorchOnly = std::to_array<KeyRule>({
    {"embedding.cls_token", "cls_token", F::kToken},
    {"embedding.dist_token", "dist_token", F::kToken},
    {"embedding.conv2d.weight", "patch_embed.proj.weight"},
    {"embedding.conv2d.bias", "patch_embed.proj.bias"},
    {"embedding.positional_embedding", "pos.grid", F::kGrid},
    {"embedding.frequency_embedding", "pos.freq", F::kAxis},
    {"embedding.time_embedding", "pos.time", F::kAxis},
    {"backbone.layers.#.norm1.weight", "blocks.#.norm1.weight"},
    {"backbone.layers.#.norm1.bias", "blocks.#.norm1.bias"},
    {"backbone.layers.#.self_attn.in_proj_weight", "blocks.#.attn.qkv.weight"},
    {"backbone.layers.#.self_attn.in_proj_bias", "blocks.#.attn.qkv.bias"},
    {"backbone.layers.#.self_attn.out_proj.weight", "blocks.#.attn.proj.weight"},
    {"backbone.layers.#.self_attn.out_proj.bias", "blocks.#.attn.proj.bias"},
    {"backbone.layers.#.norm2.weight", "blocks.#.norm2.weight"},
    {"backbone.layers.#.norm2.bias", "blocks.#.norm2.bias"},
    {"backbone.layers.#.linear1.weight", "blocks.#.mlp.fc1.weight"},
    {"backbone.layers.#.linear1.bias", "blocks.#.mlp.fc1.bias"},
    {"backbone.layers.#.linear2.weight", "blocks.#.mlp.fc2.weight"},
    {"backbone.layers.#.linear2.bias", "blocks.#.mlp.fc2.bias"},
    {"backbone.norm.weight", "norm.weight"},
    {"backbone.norm.bias", "norm.bias"},
    {"head.norm.weight", "head.norm.weight"},
    {"head.norm.bias", "head.norm.bias"},
    {"head.linear.weight", "head.linear.weight"},
    {"head.linear.bias", "head.linear.bias"},
    {"masker.mask_embedding", "mask_embed", F::kToken},
    {"classifier.linear1.weight", "cpredlayer.0.weight"},
    {"classifier.linear1.bias", "cpredlayer.0.bias"},
    {"classifier.linear2.weight", "cpredlayer.2.weight"},
    {"classifier.linear2.bias", "cpredlayer.2.bias"},
    {"reconstructor.linear1.weight", "gpredlayer.0.weight"},
    {"reconstructor.linear1.bias", "gpredlayer.0.bias"},
    {"reconstructor.linear2.weight", "gpredlayer.2.weight"},
    {"reconstructor.linear2.bias", "gpredlayer.2.bias"},
});

#define XP_HF "audio_spectrogram_transformer."
#define XP_HF_LAYER "audio_spectrogram_transformer.encoder.layer.#."
#define XP_HF5_LAYER "audio_spectrogram_transformer.layers.#."  // from transformers 5 on
constexpr auto kHuggingFace = std::to_array<KeyRule>({
    {XP_HF "embeddings.cls_token", "cls_token"},
    {XP_HF "embeddings.distillation_token", "dist_token"},
    {XP_HF "embeddings.position_embeddings", "pos.grid", F::kSequence},
    {XP_HF "embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"},
    {XP_HF "embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"},
    {XP_HF_LAYER "layernorm_before.weight", "blocks.#.norm1.weight"},
    {XP_HF_LAYER "layernorm_before.bias", "blocks.#.norm1.bias"},
    {XP_HF_LAYER "attention.attention.query.weight", "blocks.#.attn.qkv.weight", F::kQuery},
    {XP_HF_LAYER "attention.attention.query.bias", "blocks.#.attn.qkv.bias", F::kQuery},
    {XP_HF_LAYER "attention.attention.key.weight", "blocks.#.attn.qkv.weight", F::kKey},
    {XP_HF_LAYER "attention.attention.key.bias", "blocks.#.attn.qkv.bias", F::kKey},
    {XP_HF_LAYER "attention.attention.value.weight", "blocks.#.attn.qkv.weight", F::kValue},
    {XP_HF_LAYER "attention.attention.value.bias", "blocks.#.attn.qkv.bias", F::kValue},
    {XP_HF_LAYER "attention.output.dense.weight", "blocks.#.attn.proj.weight"},
    {XP_HF_LAYER "attention.output.dense.bias", "blocks.#.attn.proj.bias"},
    {XP_HF_LAYER "layernorm_after.weight", "blocks.#.norm2.weight"},
    {XP_HF_LAYER "layernorm_after.bias", "blocks.#.norm2.bias"},
    {XP_HF_LAYER "intermediate.dense.weight", "blocks.#.mlp.fc1.weight"},
    {XP_HF_LAYER "intermediate.dense.bias", "blocks.#.mlp.fc1.bias"},
    {XP_HF_LAYER "output.dense.weight", "blocks.#.mlp.fc2.weight"},
    {XP_HF_LAYER "output.dense.bias", "blocks.#.mlp.fc2.bias"},
    {XP_HF5_LAYER "layernorm_before.weight", "blocks.#.norm1.weight"},
    {XP_HF5_LAYER "layernorm_before.bias", "blocks.#.norm1.bias"},
    {XP_HF5_LAYER "attention.q_proj.weight", "blocks.#.attn.qkv.weight", F::kQuery},
    {XP_HF5_LAYER "attention.q_proj.bias", "blocks.#.attn.qkv.bias", F::kQuery},
    {XP_HF5_LAYER "attention.k_proj.weight", "blocks.#.attn.qkv.weight", F::kKey},
    {XP_HF5_LAYER "attention.k_proj.bias", "blocks.#.attn.qkv.bias", F::kKey},
    {XP_HF5_LAYER "attention.v_proj.weight", "blocks.#.attn.qkv.weight", F::kValue},
    {XP_HF5_LAYER "attention.v_proj.bias", "blocks.#.attn.qkv.bias", F::kValue},
    {XP_HF5_LAYER "attention.o_proj.weight", "blocks.#.attn.proj.weight"},
    {XP_HF5_LAYER "attention.o_proj.bias", "blocks.#.attn.proj.bias"},
    {XP_HF5_LAYER "layernorm_after.weight", "blocks.#.norm2.weight"},
    {XP_HF5_LAYER "layernorm_after.bias", "blocks.#.norm2.bias"},
    {XP_HF5_LAYER "mlp.fc1.weight", "blocks.#.mlp.fc1.weight"},
    {XP_HF5_LAYER "mlp.fc1.bias", "blocks.#.mlp.fc1.bias"},
    {XP_HF5_LAYER "mlp.fc2.weight", "blocks.#.mlp.fc2.weight"},
    {XP_HF5_LAYER "mlp.fc2.bias", "blocks.#.mlp.fc2.bias"},
    {XP_HF "layernorm.weight", "norm.weight"},
    {XP_HF "layernorm.bias", "norm.bias"},
    {"classifier.layernorm.weight", "head.norm.weight"},
    {"classifier.layernorm.bias", "head.norm.bias"},
    {"classifier.dense.weight", "head.linear.weight"},
    {"classifier.dense.bias", "head.linear.bias"},
});

/// A name that only this project's checkpoints have, in the order in which they are tried: DeiT's
/// is part of PaSST's too.
struct Signature {
  std::string_view name;
  Original original;
};
constexpr auto kSignatures = std::to_array<Signature>({
    {"pos.freq", Original::kExp},
    {"pos.grid", Original::kExp},
    {"p_input_fdim", Original::kSsast},
    {"v.patch_embed.proj.weight", Original::kAst},
    {"time_new_pos_embed", Original::kPasst},
    {"embedding.conv2d.weight", Original::kTorchOnly},
    {"audio_spectrogram_transformer.embeddings.cls_token", Original::kHuggingFace},
    {"features.0.0.weight", Original::kMn},
    {"in_c.0.weight", Original::kDymn},
    {"pos_embed", Original::kDeit},
});

/// Names of averaged copies: PaSST's, timm's, DeiT's.
constexpr auto kAveraged = std::to_array<std::string_view>(
    {"net_swa", "state_dict_ema", "model_ema", "ema_state_dict", "ema"});
constexpr auto kWrappers = std::to_array<std::string_view>(
    {"model", "state_dict", "net", "module", "_orig_mod", "weights"});

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The level of `prefix` ("net_swa.module.") that says it is an averaged copy; "" without one.
std::string_view averaged_level(std::string_view prefix) {
  while (!prefix.empty()) {
    const std::string_view level = prefix.substr(0, prefix.find('.'));
    if (is_one_of(kAveraged, level)) return level;
    prefix.remove_prefix(std::min(prefix.size(), level.size() + 1));
  }
  return {};
}

/// Whether `prefix` ("net.module.") consists of wrapper levels alone.
bool is_wrapper(std::string_view prefix) {
  while (!prefix.empty()) {
    const auto dot = prefix.find('.');
    if (dot == prefix.npos) return false;
    const std::string_view level = prefix.substr(0, dot);
    if (!is_one_of(kWrappers, level) && !is_one_of(kAveraged, level)) return false;
    prefix.remove_prefix(dot + 1);
  }
  return true;
}

/// The wrapper levels in front of `signature`, and how many copies have it; nullopt when the
/// archive has no such name.
struct Prefix {
  std::string text;
  int copies = 0;
};
std::optional<Prefix> find_prefix(const Archive& archive, std::string_view signature) {
  std::optional<Prefix> best;
  const auto averaged = [](const std::string& prefix) { return !averaged_level(prefix).empty(); };
  for (const Entry& e : archive.entries()) {
    if (e.name.size() < signature.size() ||
        std::string_view(e.name).substr(e.name.size() - signature.size()) != signature)
      continue;
    std::string prefix = e.name.substr(0, e.name.size() - signature.size());
    if (!is_wrapper(prefix)) continue;
    const int copies = best ? best->copies + 1 : 1;
    const bool better =
        !best || averaged(prefix) > averaged(best->text) ||
        (averaged(prefix) == averaged(best->text) && prefix.size() < best->text.size());
    if (better) best = Prefix{std::move(prefix), copies};
    best->copies = copies;
  }
  return best;
}

/// Matches `name` against a rule's `theirs`; the text of '#' in `index`.
bool matches(std::string_view name, std::string_view theirs, std::string& index) {
  if (!theirs.empty() && theirs.back() == '*') {
    theirs.remove_suffix(1);
    return name.substr(0, theirs.size()) == theirs;
  }
  const auto hash = theirs.find('#');
  if (hash == theirs.npos) return name == theirs;
  const std::string_view head = theirs.substr(0, hash);
  const std::string_view tail = theirs.substr(hash + 1);
  if (name.size() <= head.size() + tail.size() || name.substr(0, hash) != head) return false;
  if (name.substr(name.size() - tail.size()) != tail) return false;
  index = std::string(name.substr(hash, name.size() - head.size() - tail.size()));
  return std::all_of(index.begin(), index.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A family's table applied to one file, tensor by tensor.
class Renamer {
 public:
  Renamer(Renamed& out, const std::filesystem::path& file, bool distilled)
      : out_(out), file_(file), distilled_(distilled) {}

  void put(const std::string& ours, const std::string& theirs, const at::Tensor& stored,
           Form form) {
    out_.theirs[ours] = theirs;
    switch (form) {
      case F::kSame:
        out_.tensors[ours] = stored;
        return;
      case F::kToken:
        out_.tensors[ours] = stored.reshape({1, 1, stored.numel()});
        return;
      case F::kRows:
        want(theirs, stored, {1, kAny, kAny});
        out_.tensors[ours] = stored[0];
        return;
      case F::kGrid:
        want(theirs, stored, {kAny, kAny, kAny});
        out_.tensors[ours] = stored.permute({1, 2, 0}).contiguous();
        out_.grid = {stored.size(1), stored.size(2)};
        return;
      case F::kAxis:
        want(theirs, stored, {kAny, kAny});
        out_.tensors[ours] = stored.t().contiguous();
        return;
      case F::kFreqAxis:
        want(theirs, stored, {1, kAny, kAny, 1});
        out_.tensors[ours] = stored[0].select(2, 0).t().contiguous();
        return;
      case F::kTimeAxis:
        want(theirs, stored, {1, kAny, 1, kAny});
        out_.tensors[ours] = stored[0].select(1, 0).t().contiguous();
        return;
      case F::kSequence:
        put_sequence(ours, theirs, stored);
        return;
      case F::kQuery:
        parts_[ours][0] = {theirs, stored};
        return;
      case F::kKey:
        parts_[ours][1] = {theirs, stored};
        return;
      case F::kValue:
        parts_[ours][2] = {theirs, stored};
        return;
      case F::kDead:
        return;
    }
  }

  /// Queries, keys and values to one tensor each; where one is missing the whole is.
  void join_parts() {
    for (const auto& [ours, parts] : parts_) {
      std::vector<at::Tensor> tensors;
      for (const Part& part : parts) {
        if (!part.tensor.defined()) continue;
        const Part& first = *std::find_if(parts.begin(), parts.end(), is_there);
        if (part.tensor.dim() < 1 || part.tensor.sizes() != first.tensor.sizes()) {
          bad(fmt::format("'{}' is {} and '{}' is {}: queries, keys and values have one shape",
                          first.theirs, shape_of(first.tensor), part.theirs,
                          shape_of(part.tensor)));
        }
        tensors.push_back(part.tensor);
      }
      if (tensors.size() == parts.size()) out_.tensors[ours] = at::cat(tensors);
    }
  }

 private:
  struct Part {
    std::string theirs;
    at::Tensor tensor;
  };
  static constexpr int64_t kAny = -1;  ///< any size but 0

  static bool is_there(const Part& part) { return part.tensor.defined(); }
  static std::string shape_of(const at::Tensor& tensor) {
    return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
  }

  [[noreturn]] void bad(const std::string& what) const {
    throw Error(Place{file_.string()}, checkpoint::printable(what), Exit::kData);
  }

  void want(const std::string& theirs, const at::Tensor& stored,
            std::initializer_list<int64_t> sizes) const {
    bool fits = stored.dim() == static_cast<int64_t>(sizes.size());
    int64_t axis = 0;
    std::vector<std::string> shown;
    for (const int64_t size : sizes) {
      fits = fits && (size == kAny ? stored.size(axis) > 0 : stored.size(axis) == size);
      ++axis;
      shown.push_back(size == kAny ? "n" : std::to_string(size));
    }
    if (!fits)
      bad(fmt::format("'{}' is {}, its place is for [{}]", theirs, shape_of(stored),
                      fmt::join(shown, ", ")));
  }

  void put_sequence(const std::string& ours, const std::string& theirs, const at::Tensor& stored) {
    want(theirs, stored, {1, kAny, kAny});
    const int64_t special = distilled_ ? 2 : 1;
    if (stored.size(1) <= special)
      bad(fmt::format("'{}' is {}: {} rows are of the special tokens, none of patches", theirs,
                      shape_of(stored), special));
    out_.tensors["pos.special"] = stored[0].narrow(0, 0, special);
    out_.tensors[ours] = stored[0].narrow(0, special, stored.size(1) - special);
    out_.theirs["pos.special"] = theirs;
  }

  Renamed& out_;
  const std::filesystem::path& file_;
  bool distilled_;
  std::map<std::string, std::array<Part, 3>> parts_;
};

/// SSAST says which input it was pretrained on; its strides are its patch's shape.
schema::Grid ssast_grid(const Archive& archive, const Renamed& out) {
  const auto number = [&](const char* name) -> int64_t {
    const Entry* e = archive.find(out.prefix + name);
    int64_t value = 0;
    if (e != nullptr && e->dtype == checkpoint::Dtype::kI64 && e->bytes.size() == sizeof value) {
      std::memcpy(&value, e->bytes.data(), sizeof value);
    }
    return value;
  };
  const auto proj = out.tensors.find("patch_embed.proj.weight");
  if (proj == out.tensors.end() || proj->second.dim() != 4) return {};
  const int64_t patch_f = proj->second.size(2);
  const int64_t patch_t = proj->second.size(3);
  if (patch_f < 1 || patch_t < 1) return {};
  return {schema::patches_along(number("p_input_fdim"), patch_f, patch_f),
          schema::patches_along(number("p_input_tdim"), patch_t, patch_t)};
}

}  // namespace

std::string_view original_name(Original original) {
  switch (original) {
    case Original::kExp:
      return "exp";
    case Original::kAst:
      return "AST";
    case Original::kSsast:
      return "SSAST";
    case Original::kDeit:
      return "timm DeiT/ViT";
    case Original::kPasst:
      return "PaSST";
    case Original::kTorchOnly:
      return "TorchOnlyAST";
    case Original::kHuggingFace:
      return "transformers AST";
    case Original::kMn:
      return "EfficientAT mn";
    case Original::kDymn:
      return "EfficientAT dymn";
  }
  return "";
}

std::span<const KeyRule> key_rules(Original original) {
  switch (original) {
    case Original::kAst:
      return kAst;
    case Original::kSsast:
      return kSsast;
    case Original::kDeit:
      return kDeit;
    case Original::kPasst:
      return kPasst;
    case Original::kTorchOnly:
      return kTorchOnly;
    case Original::kHuggingFace:
      return kHuggingFace;
    case Original::kExp:
    case Original::kMn:
    case Original::kDymn:
      break;
  }
  return {};
}

Original original_of(const Archive& archive) {
  for (const Signature& s : kSignatures)
    if (find_prefix(archive, s.name)) return s.original;
  return Original::kExp;
}

Renamed rename(const Archive& archive, const std::filesystem::path& file) {
  Renamed out;
  bool known = false;
  for (const Signature& s : kSignatures) {
    if (const auto prefix = find_prefix(archive, s.name)) {
      out.original = s.original;
      out.prefix = prefix->text;
      if (prefix->copies > 1) out.averaged = averaged_level(out.prefix);
      known = true;
      break;
    }
  }
  // A family whose names are no original's (pool) is known by what a training here writes beside
  // them.
  known = known || archive.metadata().count("exp.carried") != 0;
  if (!known) {
    const std::string first =
        archive.entries().empty()
            ? ""
            : " (its first tensor is '" + checkpoint::printable(archive.entries()[0].name) + "')";
    throw Error(Place{file.string()},
                "the tensor names are none of AST, SSAST, PaSST, TorchOnlyAST, EfficientAT, timm "
                "DeiT/ViT or transformers AST" +
                    first,
                Exit::kData);
  }
  const auto rules = key_rules(out.original);
  const bool distilled =
      archive.find(out.prefix + "dist_token") != nullptr || out.original != Original::kDeit;
  Renamer renamer(out, file, distilled);
  for (const Entry& e : archive.entries()) {
    if (e.name.compare(0, out.prefix.size(), out.prefix) != 0) continue;
    const std::string name = e.name.substr(out.prefix.size());
    if (rules.empty()) {
      out.theirs[name] = e.name;
      out.tensors[name] = to_tensor(e);
      continue;
    }
    std::string index;
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const KeyRule& r) {
      return matches(name, r.theirs, index);
    });
    if (rule == rules.end()) {
      out.unknown.push_back(name);
      continue;
    }
    if (rule->form == F::kDead) {
      out.dead.push_back(e.name);
      continue;
    }
    std::string ours(rule->ours);
    if (const auto hash = ours.find('#'); hash != ours.npos) ours.replace(hash, 1, index);
    renamer.put(ours, e.name, to_tensor(e), rule->form);
  }
  renamer.join_parts();
  if (out.original == Original::kSsast) out.grid = ssast_grid(archive, out);
  if (out.original == Original::kExp && out.tensors.count("pos.grid") != 0 &&
      out.tensors["pos.grid"].dim() == 3) {
    out.grid = {out.tensors["pos.grid"].size(0), out.tensors["pos.grid"].size(1)};
  }
  return out;
}

}  // namespace xp::model
