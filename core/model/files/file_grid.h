#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/schema/geometry.h"

namespace xp::model {

/// A position embedding [count, D] of which a file does not say how many rows and columns its
/// patches have, and what is known of them.
struct PatchList {
  int64_t count = 0;
  int64_t patch_f = 16;              ///< mel bins of a patch
  bool image = false;                ///< timm's: a square
  std::optional<schema::Grid> said;  ///< by the user, or by who published the file
  schema::Grid model;                ///< of the model that takes it; 0 x 0 = not the file's
  int64_t stride_f = 10;             ///< of the file, as far as is known
  int64_t bins = 0;                  ///< of the file's input; 0 = as many as the model's rows need
  bool bins_assumed = false;         ///< see ImportOptions
  bool strides_assumed = false;
  bool frames_assumed = false;
};

/// Rows and columns: what was said; the square of an image; the model's own where that has as many
/// patches; else rows = (bins - patch_f) / stride_f + 1, which have to divide the count. nullopt,
/// with `fault` telling why and which keys and flags settle it, where they do not, or where bins or
/// strides are assumed and those of another training of the originals (64 or 128 bins, strides 10,
/// 12, 14, 16) divide it as well. Other bins count for that only with the model's own columns,
/// unless the frames are assumed too.
std::optional<schema::Grid> grid_of_list(const PatchList& list, std::string& fault);

}  // namespace xp::model
