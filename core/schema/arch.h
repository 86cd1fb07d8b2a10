#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace xp::schema {

/// Families of models (core/schema/models.inc), each with one factory in core/model.
enum class Family {
#define XP_MODEL(name, factory, help) k_##name,
#include "core/schema/models.inc"
#undef XP_MODEL
};

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
  int64_t image_grid =
      0;             ///< side of the patch grid of the image checkpoint it starts from; 0 = none
  double width = 0;  ///< CNNs: channel multiplier, NN / 10 of mnNN and dymnNN
};

/// The transformer architectures, sorted by name. CNNs are a pattern, not a list: see find_arch.
std::span<const Arch> transformer_archs();

/// The architecture of that name: one of transformer_archs(), or mnNN / dymnNN with two digits
/// (mn10 has width 1). nullopt for another name. `name` in the result is static for transformers
/// and the family's name for CNNs.
std::optional<Arch> find_arch(std::string_view name);

/// Patches along one axis: 1 + (length - patch) / stride, 0 where the patch does not fit.
int64_t patches_along(int64_t length, int64_t patch, int64_t stride);

}  // namespace xp::schema
