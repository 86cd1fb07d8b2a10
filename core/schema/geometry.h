#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/schema/frontend.h"
#include "core/schema/model.h"
#include "core/schema/patchout.h"

/// How many tokens a transformer sees, before anything is built: the recipe check, `exp models` and
/// the model itself all use these functions.
namespace xp::schema {

/// Patches of a spectrogram: f rows (frequency) by t columns (time).
struct Grid {
  int64_t f = 0;
  int64_t t = 0;
  int64_t count() const { return f * t; }
  bool operator==(const Grid&) const = default;
};

/// What a model is fed: F mel bins by T frames.
struct Geometry {
  int64_t F = 0;
  int64_t T = 0;
};

/// Frames that the frontend makes of a clip of `samples` samples at its rate; `frames` and `clip_s`
/// are applied. kaldi: snip edges, 1 + (N - window) / hop, 0 when N < window. augment_mel: centred
/// STFT of N - 1 samples (the pre-emphasis drops one), 1 + (N - 1) / hop.
int64_t frames_of(const FrontendOptions& frontend, int64_t samples);

/// Input size when it does not depend on the clip: `frames`, or `clip_s` at the frontend's rate. T
/// = 0 when neither is set: inputs are as long as their clips.
Geometry input_geometry(const FrontendOptions& frontend);

/// What a model is built for where nobody says: `input_geometry`, or ten seconds. Positions of
/// other lengths are fitted to each clip.
Geometry usual_geometry(const FrontendOptions& frontend);

/// Strides with 0 replaced by the patch's own shape.
Grid strides(const ModelOptions& model);

/// Patches by a convolution without padding: 1 + (n - patch) / stride on each axis; 0 where the
/// input is smaller than a patch. AST's 128 x 1024 at 10/10 is 12 x 101, PaSST's 128 x 998 is 12
/// x 99.
Grid patch_grid(const ModelOptions& model, const Geometry& input);

/// PaSST's grid of position embeddings: floor(n / stride), not the convolution's output size.
Grid passt_position_grid(const ModelOptions& model, const Geometry& input);

/// Rows, columns and single patches that patchout leaves; fractions are floored.
struct Kept {
  Grid grid;            ///< after t and f
  int64_t patches = 0;  ///< after u as well
};
Kept after_patchout(const PatchoutOptions& patchout, const Grid& grid);

/// Throws Error for a model that has no tokens, naming the `option` that would merge them.
void require_tokens(const ModelOptions& model, std::string_view option);

}  // namespace xp::schema
