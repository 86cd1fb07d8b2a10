#include "core/frontend/spec_augment.h"

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "core/frontend/to_device.h"

namespace xp::frontend {
namespace {

/// [B or 1, 1, n]: true within each clip's stretch. `pick` chooses the axis.
at::Tensor inside(std::span<const Masks> masks, Stretch Masks::*pick, int64_t n,
                  const at::Tensor& like) {
  const auto rows = static_cast<int64_t>(masks.size());
  at::Tensor edges = at::empty({2, rows, 1}, at::kLong);
  auto* edge = edges.mutable_data_ptr<int64_t>();
  for (const Masks& m : masks) {
    const Stretch& stretch = m.*pick;
    edge[0] = stretch.start;
    edge[rows] = stretch.start + stretch.width;
    ++edge;
  }
  edges = to_device(edges, like.device());
  const at::Tensor index = at::arange(n, edges.options());
  return (index >= edges[0]).logical_and_(index < edges[1]);
}

void check(std::span<const Masks> masks, int64_t bins, int64_t frames) {
  const auto fits = [](const Stretch& s, int64_t n) {
    return s.start >= 0 && s.width >= 0 && s.start + s.width <= n;
  };
  for (const Masks& m : masks) {
    XP_CHECK(fits(m.bins, bins) && fits(m.frames, frames), "a mask reaches out of the spectrogram");
  }
}

}  // namespace

void apply_masks(at::Tensor& mel, std::span<const Masks> masks, float fill) {
  if (masks.empty()) return;
  const int64_t batch = mel.size(0), bins = mel.size(1), frames = mel.size(2);
  const auto count = static_cast<int64_t>(masks.size());
  XP_CHECK(count == 1 || count == batch, "one mask a clip, or one for the batch");
  check(masks, bins, frames);
  if (mel.is_cpu() && mel.is_contiguous() && mel.scalar_type() == at::kFloat) {
    auto* data = mel.mutable_data_ptr<float>();
    for (int64_t b = 0; b < batch; ++b) {
      ops::fill_masks(data + b * bins * frames, bins, frames,
                      masks[count == 1 ? 0 : static_cast<size_t>(b)], fill);
    }
    return;
  }
  const at::Tensor rows = inside(masks, &Masks::bins, bins, mel).unsqueeze(2);
  const at::Tensor columns = inside(masks, &Masks::frames, frames, mel).unsqueeze(1);
  mel.masked_fill_(rows.logical_or(columns), fill);
}

}  // namespace xp::frontend
