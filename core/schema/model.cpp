#include "core/schema/model.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::schema {
namespace {

/// The rule of the family's original; xavier for a family that has none.
InitRule original_rule(Family family) {
  if (family == Family::k_ast) return InitRule::kAst;
  if (family == Family::k_passt) return InitRule::kPasst;
  if (family == Family::k_ssast) return InitRule::kSsast;
  return is_cnn(family) ? InitRule::kEfficientAt : InitRule::kXavier;
}

}  // namespace

const std::vector<std::string>& arch_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Arch& arch : listed_archs()) out.emplace_back(arch.name);
    // The widths that EfficientAT publishes.
    for (const char* width : {"01", "02", "04", "05", "10", "20", "30", "40"})
      out.push_back(std::string("mn") + width);
    for (const char* width : {"04", "10", "20"}) out.push_back(std::string("dymn") + width);
    for (const char* variant : {"mn10-s2221", "mn10-s2211", "dymn04-se", "dymn10-se"})
      out.emplace_back(variant);
    return out;
  }();
  return names;
}

Arch ModelOptions::resolved() const {
  const auto found = find_arch(arch);
  if (!found) throw Error("there is no architecture '" + arch + "'");
  Arch out = *found;
  if (dim > 0) out.dim = dim;
  if (depth > 0) out.depth = depth;
  if (heads > 0) out.heads = heads;
  if (patch_f > 0) out.patch_f = patch_f;
  if (patch_t > 0) out.patch_t = patch_t;
  if (width > 0) out.width = width;
  if (strides.size() == out.strides.size())
    std::copy(strides.begin(), strides.end(), out.strides.begin());
  if (out.family == Family::k_passt && cut_depth != 0)
    out.depth = static_cast<int64_t>(kept_blocks(out.depth, cut_depth).size());
  return out;
}

std::optional<std::string> ModelOptions::fault() const {
  if (!strides.empty() && strides.size() != Arch{}.strides.size())
    return fmt::format(
        "model.strides has {} numbers: one is for each of the {} stages that halve the "
        "map",
        strides.size(), Arch{}.strides.size());
  if (!weights_grid.empty() && weights_grid.size() != 2)
    return fmt::format("model.weights_grid has {} numbers: it is rows and columns",
                       weights_grid.size());
  const int64_t needs = aggregator == Aggregator::kCls                                          ? 1
                        : aggregator == Aggregator::kClsDist || aggregator == Aggregator::kDist ? 2
                                                                                                : 0;
  if (token_count() >= needs) return std::nullopt;
  return fmt::format(
      "model.aggregator = \"{}\" takes a token that model.special_tokens = \"{}\" "
      "does not have",
      recipe::enum_name(aggregator), recipe::enum_name(special_tokens));
}

std::vector<int64_t> ModelOptions::source_blocks() const {
  ModelOptions whole = *this;
  whole.cut_depth = 0;
  return kept_blocks(whole.resolved().depth, cut_depth);
}

InitRule ModelOptions::init_rule() const {
  if (init != InitRule::kAuto) return init;
  ModelOptions whole = *this;
  whole.cut_depth = 0;  // PaSST's own
  const Arch own = whole.resolved();
  const Arch listed = find_arch(arch).value_or(own);
  const bool same = own.dim == listed.dim && own.depth == listed.depth &&
                    own.heads == listed.heads && own.patch_f == listed.patch_f &&
                    own.patch_t == listed.patch_t && (mlp_dim == 0 || mlp_dim == 4 * own.dim);
  return same && listed.name != kOwnSizes ? original_rule(own.family) : InitRule::kXavier;
}

std::optional<std::string> ModelOptions::init_fault() const {
  const Family family = resolved().family;
  if (init == InitRule::kAuto || init == InitRule::kXavier || init == InitRule::kNormal)
    return std::nullopt;
  const bool of_cnns = init == InitRule::kEfficientAt;
  if (is_transformer(family) ? !of_cnns : is_cnn(family) && of_cnns) return std::nullopt;
  const char* others = is_transformer(family) ? "ast, passt, ssast, torchonly, "
                       : is_cnn(family)       ? "efficientat, "
                                              : "";
  return fmt::format("model.init = \"{}\" is no rule for {}, which takes auto, {}xavier or normal",
                     recipe::enum_name(init), arch, others);
}

void set_sizes(ModelOptions& model, Family family, const TransformerSizes& sizes) {
  const Arch* chosen = nullptr;
  // The more of the sizes fit the better; the depth counts last, as other depths are common.
  int64_t best = -1;
  for (const Arch& arch : listed_archs()) {
    if (arch.family != family) continue;
    const bool patch = arch.patch_f == sizes.patch_f && arch.patch_t == sizes.patch_t;
    const bool width = arch.dim == sizes.dim && arch.heads == sizes.heads;
    const int64_t fit = (width ? 4 : 0) + (patch ? 2 : 0) + (arch.depth == sizes.depth ? 1 : 0);
    const bool larger = chosen == nullptr || arch.dim >= chosen->dim;
    if (fit > best || (fit == best && larger)) {
      best = fit;
      chosen = &arch;
    }
  }
  model.arch = chosen->name;
  const auto own = [](int64_t listed, int64_t size) { return listed == size ? 0 : size; };
  model.dim = own(chosen->dim, sizes.dim);
  model.depth = own(chosen->depth, sizes.depth);
  model.heads = own(chosen->heads, sizes.heads);
  model.patch_f = own(chosen->patch_f, sizes.patch_f);
  model.patch_t = own(chosen->patch_t, sizes.patch_t);
}

std::optional<Family> ModelOptions::parse_kind(std::string_view arch) {
  const auto found = find_arch(arch);
  return found ? std::optional<Family>(found->family) : std::nullopt;
}

}  // namespace xp::schema
