#pragma once

#include <ATen/core/Tensor.h>

#include "core/frontend/spectrograms.h"
#include "core/model/patchout.h"

namespace xp::model {

/// What goes into one pass through a model: normalised spectrograms, the length of each, and where
/// the draws of each clip stand.
struct Input {
  /// `draws.positions` may be empty: 0 .. B-1. Not explicit: a front end's result is an input.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Input(frontend::Spectrograms spectrograms, DrawKey draws = {});

  /// Clips that all fill their rows of `mel` [B, F, T].
  static Input whole(const at::Tensor& mel, DrawKey draws = {});

  int64_t clips() const { return spectrograms.clips(); }

  frontend::Spectrograms spectrograms;
  DrawKey draws;
};

}  // namespace xp::model
