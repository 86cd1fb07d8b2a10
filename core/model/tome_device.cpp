#include "core/model/tome_device.h"

#include <limits>

#include <ATen/ATen.h>

namespace xp::model::detail {
namespace {

/// Share of each token in its new one, [B, N] float32; dropped tokens and padding have 0.
at::Tensor shares(const at::Tensor& size, const at::Tensor& out_size, const at::Tensor& target) {
  const at::Tensor kept = target >= 0;
  const at::Tensor total = out_size.gather(1, target.clamp_min(0));
  const at::Tensor own = size.defined() ? size : at::ones_like(total);
  return at::where(kept.logical_and(total > 0), own / total, at::zeros_like(total));
}

at::Tensor rows(const at::Tensor& target, int64_t channels) {
  return target.clamp_min(0).unsqueeze(-1).expand({-1, -1, channels});
}

}  // namespace

Match match_on_device(const at::Tensor& keys, int64_t r, Protect protect) {
  constexpr double kWorst = -std::numeric_limits<double>::infinity();
  const int64_t tokens = keys.size(2);
  const at::Tensor sum = keys.to(at::kFloat).sum(1);
  const at::Tensor unit = sum / sum.norm(2, {-1}, true).clamp_min(1e-30);
  at::Tensor scores =
      at::bmm(unit.slice(1, 0, c10::nullopt, 2), unit.slice(1, 1, c10::nullopt, 2).transpose(1, 2));
  scores.nan_to_num_(kWorst);
  if (protect.cls) scores.select(1, 0).fill_(kWorst);
  if (protect.dist) scores.select(2, 0).fill_(kWorst);
  const auto [best, partner] = scores.max(-1);
  const at::Tensor order = best.argsort(/*stable=*/true, -1, /*descending=*/true);
  const int64_t kept = order.size(1) - r;

  Match match;
  match.before = tokens;
  match.after = tokens - r;
  match.merged_from = order.narrow(1, 0, r);
  match.merged_into = partner.gather(1, match.merged_from);
  match.unmerged = order.narrow(1, r, kept);
  if (protect.cls) match.unmerged = std::get<0>(match.unmerged.sort(-1));

  at::Tensor place_a = at::arange(kept, order.options());
  at::Tensor place_b = at::arange(tokens / 2, order.options()) + kept;
  if (protect.dist) {  // A0, B0, rest of A, rest of B
    place_a.narrow(0, 1, kept - 1).add_(1);
    place_b.narrow(0, 0, 1).fill_(1);
  }
  match.target = at::empty({keys.size(0), tokens}, order.options());
  at::Tensor target_a = at::empty_like(order);
  target_a.scatter_(1, match.unmerged, place_a.expand({keys.size(0), -1}));
  target_a.scatter_(1, match.merged_from,
                    place_b.expand({keys.size(0), -1}).gather(1, match.merged_into));
  match.target.slice(1, 0, c10::nullopt, 2).copy_(target_a);
  match.target.slice(1, 1, c10::nullopt, 2).copy_(place_b);
  return match;
}

std::pair<at::Tensor, at::Tensor> merge_on_device(const at::Tensor& x, const at::Tensor& size,
                                                  const at::Tensor& target, int64_t after) {
  const at::Tensor own =
      size.defined() ? size : at::ones(target.sizes(), x.options().dtype(at::kFloat));
  at::Tensor out_size = at::zeros({x.size(0), after}, own.options());
  out_size.scatter_add_(1, target.clamp_min(0), own.masked_fill(target < 0, 0));
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor weighted = x.to(wide) * shares(size, out_size, target).to(wide).unsqueeze(-1);
  at::Tensor out = at::zeros({x.size(0), after, x.size(2)}, weighted.options());
  out.scatter_add_(1, rows(target, x.size(2)), weighted);
  return {out.to(x.scalar_type()), out_size};
}

at::Tensor merge_grad_on_device(const at::Tensor& grad, const at::Tensor& size,
                                const at::Tensor& out_size, const at::Tensor& target) {
  const at::Tensor weight = shares(size, out_size, target).to(grad.scalar_type());
  return grad.gather(1, rows(target, grad.size(2))) * weight.unsqueeze(-1);
}

}  // namespace xp::model::detail
