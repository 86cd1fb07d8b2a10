#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/schema/frontend.h"
#include "core/schema/model.h"
#include "core/schema/patchout.h"
#include "core/schema/tome.h"

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

/// ToMe's plan: what `r` asks of each of `depth` blocks, before clamping. One number with
/// inflection c in [-1, 1] runs linearly from trunc(r (1 - c)) to 2 r minus that, each value
/// truncated (Bolya et al. 2023, appendix D: c = -1 merges early). Without protect_dist the line
/// runs over 168 blocks more than there are, as in Faster_Audio_Transformers. A list is filled with
/// zeros to `depth`; a longer one stays as it is.
std::vector<int64_t> tome_plan(const TomeOptions& tome, int64_t depth);

/// r as far as the tokens allow: at most half of the unprotected ones, floor((tokens -
/// protected_tokens) / 2). The one clamp of all merging.
int64_t merge_limit(int64_t r, int64_t tokens, int64_t protected_tokens);

/// One block of a merging model.
struct Merge {
  int64_t asked = 0;   ///< r of the plan
  int64_t merged = 0;  ///< clamped by merge_limit
  int64_t tokens = 0;  ///< tokens after the block
};

/// Tokens after each of `depth` blocks, for `tokens` that enter the first, `special` of which are
/// no patches; the class token is protected, with protect_dist the distillation token too. AST's
/// 1214 tokens at r = 96 end at 80, the last block clamped to 78.
std::vector<Merge> tome_schedule(const TomeOptions& tome, int64_t depth, int64_t tokens,
                                 int64_t special);

/// Throws Error for a model that has no tokens, naming the `option` that would merge them.
void require_tokens(const ModelOptions& model, std::string_view option);

}  // namespace xp::schema
