#pragma once

#include <cstdint>
#include <vector>

#include "core/model/model.h"

namespace xp::model {

/// Pixels, row by row from the top, three bytes (red, green, blue) each.
struct Picture {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;
};

/// Which patches of clip `clip` merged into one token, drawn over its spectrogram: `mel` [F, T] in
/// grey, low bins at the bottom, `scale` pixels a bin and a frame; the patches of each token that
/// stands for more than one get that token's colour and an outline where tokens meet. `output`
/// comes from a forward pass with `trace`. Patches cover stride_f x stride_t of the picture from
/// where they start, so that overlapping ones can be told apart.
Picture merge_picture(const at::Tensor& mel, const Output& output, int64_t clip,
                      const PatchLayout& layout, int64_t scale = 2);

}  // namespace xp::model
