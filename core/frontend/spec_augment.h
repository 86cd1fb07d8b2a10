#pragma once

#include <span>

#include "core/ops/spec_masks.h"

namespace at {
class Tensor;
}

namespace xp::frontend {

using ops::draw_masks;
using ops::mask_stretch;
using ops::Masks;
using ops::Stretch;

/// Writes `fill` into the masked stretches of mel [B, F, T] in place, on its device. `masks`: B
/// entries or one for all. `fill`: AST and PaSST write 0 before normalising, so after normalising
/// it is (0 - mean) * scale.
void apply_masks(at::Tensor& mel, std::span<const Masks> masks, float fill);

}  // namespace xp::frontend
