#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace xp::schema {

/// Families of models (core/schema/models.inc), each with one factory in core/model.
enum class Family {
#define XP_MODEL(name, factory, body, help) k_##name,
#include "core/schema/models.inc"
#undef XP_MODEL
};

/// Which keys of [model] a family has, and whether [tome] and [patchout] mean anything to it.
enum class Body {
  kPatches,  ///< a transformer over patches
  kCnn,
  kPlain  ///< neither
};

constexpr Body body_of(Family family) {
  constexpr Body kBodies[] = {
#define XP_MODEL(name, factory, body, help) Body::body,
#include "core/schema/models.inc"
#undef XP_MODEL
  };
  return kBodies[static_cast<std::size_t>(family)];
}
constexpr bool is_transformer(Family family) { return body_of(family) == Body::kPatches; }
constexpr bool is_cnn(Family family) { return body_of(family) == Body::kCnn; }

/// "ast", "passt", ...
std::string_view family_name(Family family);

/// What a name in `model.arch` stands for. Sizes of the originals (recipes of AST, PaSST, SSAST,
/// EfficientAT); `ast-nano` is ours: it trains on two CPU cores in the quickstart.
struct Arch {
  std::string_view name;
  Family family = Family::k_ast;
  int64_t dim = 0;      ///< token width D; 0 for CNNs
  int64_t depth = 0;    ///< blocks
  int64_t heads = 0;    ///< attention heads
  int64_t patch_f = 0;  ///< mel bins of a patch
  int64_t patch_t = 0;  ///< frames of a patch
  double width = 0;     ///< CNNs: channel multiplier, NN / 10 of mnNN and dymnNN
  std::array<int64_t, 4> strides = {2, 2, 2, 2};  ///< CNNs: of the four stages that halve the map
  bool replace_se = false;  ///< dymn: dynamic blocks only in place of squeeze-and-excitation
};

/// The transformer of `listed_archs` whose sizes no original has.
inline constexpr std::string_view kOwnSizes = "ast-nano";

/// The architectures but the CNNs, sorted by name. CNNs are a pattern, not a list: see find_arch.
std::span<const Arch> listed_archs();

/// The architecture of that name: one of listed_archs(), or mnNN / dymnNN with two digits
/// (mn10 has width 1), mnNN-sABCD with other strides (mn10-s2221), dymnNN-se with dynamic blocks
/// only where MobileNet has squeeze-and-excitation. nullopt for another name. `name` in the result
/// is static for listed ones and the family's name for CNNs.
std::optional<Arch> find_arch(std::string_view name);

/// The blocks of `depth` that PaSST's cut_depth keeps (models/passt.py, lighten_model): above 0,
/// that many are taken out after the first; below 0, of those between the first and the last each
/// -cut-th stays. Empty when fewer than two would stay.
std::vector<int64_t> kept_blocks(int64_t depth, int64_t cut);

/// Patches along one axis: 1 + (length - patch) / stride, 0 where the patch does not fit.
int64_t patches_along(int64_t length, int64_t patch, int64_t stride);

}  // namespace xp::schema
