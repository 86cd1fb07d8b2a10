#include "core/schema/geometry.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::schema {
namespace {

int64_t kept_of(int64_t there, int64_t count, double fraction) {
  const int64_t dropped =
      fraction > 0 ? static_cast<int64_t>(std::floor(static_cast<double>(there) * fraction))
                   : count;
  return std::max<int64_t>(there - dropped, 0);
}

}  // namespace

int64_t frames_of(const FrontendOptions& frontend, int64_t samples) {
  if (frontend.clip_s > 0)
    samples = std::llround(frontend.clip_s * static_cast<double>(frontend.rate_hz));
  if (frontend.frames > 0) return frontend.frames;
  if (frontend.kind == FrontendKind::kAugmentMel)
    return samples < 2 ? 0 : 1 + (samples - 1) / frontend.hop_samples;
  return samples < frontend.window_samples
             ? 0
             : 1 + (samples - frontend.window_samples) / frontend.hop_samples;
}

Geometry input_geometry(const FrontendOptions& frontend) {
  const bool fixed = frontend.frames > 0 || frontend.clip_s > 0;
  return {frontend.mel_bins, fixed ? frames_of(frontend, 0) : 0};
}

Geometry usual_geometry(const FrontendOptions& frontend) {
  constexpr int64_t kUsual_s = 10;
  Geometry geometry = input_geometry(frontend);
  if (geometry.T == 0) geometry.T = frames_of(frontend, kUsual_s * frontend.rate_hz);
  return geometry;
}

Grid strides(const ModelOptions& model) {
  const Arch arch = model.resolved();
  return {model.fstride > 0 ? model.fstride : arch.patch_f,
          model.tstride > 0 ? model.tstride : arch.patch_t};
}

Grid patch_grid(const ModelOptions& model, const Geometry& input) {
  const Arch arch = model.resolved();
  const Grid stride = strides(model);
  return {patches_along(input.F, arch.patch_f, stride.f),
          patches_along(input.T, arch.patch_t, stride.t)};
}

Grid passt_position_grid(const ModelOptions& model, const Geometry& input) {
  const Grid stride = strides(model);
  return {input.F / stride.f, input.T / stride.t};
}

Kept after_patchout(const PatchoutOptions& patchout, const Grid& grid) {
  Kept kept;
  kept.grid.t = kept_of(grid.t, patchout.t, patchout.t_p);
  kept.grid.f = kept_of(grid.f, patchout.f, patchout.f_p);
  kept.patches = kept_of(kept.grid.count(), patchout.u, patchout.u_p);
  return kept;
}

void require_tokens(const ModelOptions& model, std::string_view option) {
  if (is_transformer(model.resolved().family)) return;
  throw Error(fmt::format("{} merges tokens, and {} has none", option, model.arch));
}

}  // namespace xp::schema
