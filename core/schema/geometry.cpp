#include "core/schema/geometry.h"

#include <algorithm>
#include <cmath>

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

std::vector<int64_t> tome_plan(const TomeOptions& tome, int64_t depth) {
  std::vector<int64_t> plan(static_cast<std::size_t>(std::max<int64_t>(depth, 0)), 0);
  if (tome.r.is_list) {
    std::copy_n(tome.r.list.begin(), std::min(plan.size(), tome.r.list.size()), plan.begin());
    return plan;
  }
  const auto r = static_cast<double>(tome.r.value);
  const double first = std::trunc(r * (1.0 - tome.inflection));
  const double last = 2.0 * r - first;
  const double step = depth > 1 ? (last - first) / static_cast<double>(depth - 1) : 0.0;
  for (std::size_t i = 0; i < plan.size(); ++i)
    plan[i] = static_cast<int64_t>(first + step * static_cast<double>(i));
  return plan;
}

std::vector<Merge> tome_schedule(const TomeOptions& tome, int64_t depth, int64_t tokens) {
  const int64_t protected_tokens = tome.protect_dist ? 2 : 1;
  std::vector<Merge> out;
  for (const int64_t asked : tome_plan(tome, depth)) {
    const int64_t most = std::max<int64_t>((tokens - protected_tokens) / 2, 0);
    const int64_t merged = std::clamp<int64_t>(asked, 0, most);
    tokens -= merged;
    out.push_back({asked, merged, tokens});
  }
  return out;
}

}  // namespace xp::schema
