#include "core/model/reduce/tome_device.h"

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

/// The tokens of each clip, grouped by the new token that they go to. Sums over groups run in the
/// order of the tokens, one thread a sum: the same bits each time, where adding by index (atomics)
/// would not give them and its deterministic form sorts every element.
class Segments {
 public:
  Segments(const at::Tensor& target, int64_t after)
      : order_(target.argsort(/*stable=*/true, -1, /*descending=*/false)) {
    // Padding goes to -1: the first group, which is left out of the sums.
    const at::Tensor sorted = target.gather(1, order_);
    const at::Tensor bounds =
        at::arange(after, target.options()).expand({target.size(0), -1}).contiguous();
    const at::Tensor begins = at::searchsorted(sorted, bounds);
    const at::Tensor zero = at::zeros({target.size(0), 1}, target.options());
    const at::Tensor end = zero + target.size(1);
    lengths_ = at::cat({begins, end}, 1) - at::cat({zero, begins}, 1);
  }

  /// values: [B, N] or [B, N, C]. Returns [B, N'] or [B, N', C].
  at::Tensor sum(const at::Tensor& values) const {
    const bool flat = values.dim() == 2;
    const at::Tensor wide = flat ? values.unsqueeze(-1) : values;
    const at::Tensor grouped =
        wide.gather(1, order_.unsqueeze(-1).expand({-1, -1, wide.size(2)})).contiguous();
    const at::Tensor sums =
        at::segment_reduce(grouped, "sum", lengths_, c10::nullopt, c10::nullopt, /*axis=*/1,
                           /*unsafe=*/true, /*initial=*/0);
    const at::Tensor out = sums.slice(1, 1);
    return flat ? out.squeeze(-1) : out;
  }

 private:
  at::Tensor order_;    // [B, N]
  at::Tensor lengths_;  // [B, 1 + N'] tokens of padding, then of each new token
};

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
  // Where each token of A goes, read off its rank: nothing is written by index.
  const at::Tensor rank = order.argsort(/*stable=*/true, -1, /*descending=*/false);
  const at::Tensor all_a = at::arange(order.size(1), order.options()).expand_as(order);
  const at::Tensor among_kept =
      protect.cls ? at::searchsorted(match.unmerged, all_a.contiguous()) : rank - r;
  const auto at_places = [&](const at::Tensor& places, const at::Tensor& index) {
    return places.expand({keys.size(0), -1}).gather(1, index);
  };
  match.target = at::empty({keys.size(0), tokens}, order.options());
  match.target.slice(1, 0, c10::nullopt, 2)
      .copy_(at::where(rank < r, at_places(place_b, partner),
                       at_places(place_a, among_kept.clamp(0, kept - 1))));
  match.target.slice(1, 1, c10::nullopt, 2).copy_(place_b);
  return match;
}

std::pair<at::Tensor, at::Tensor> merge_on_device(const at::Tensor& x, const at::Tensor& size,
                                                  const at::Tensor& target, int64_t after) {
  const at::Tensor own =
      size.defined() ? size : at::ones(target.sizes(), x.options().dtype(at::kFloat));
  const Segments segments(target, after);
  const at::Tensor out_size = segments.sum(own);
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor weighted = x.to(wide) * shares(size, out_size, target).to(wide).unsqueeze(-1);
  return {segments.sum(weighted).to(x.scalar_type()), out_size};
}

at::Tensor merge_grad_on_device(const at::Tensor& grad, const at::Tensor& size,
                                const at::Tensor& out_size, const at::Tensor& target) {
  const at::Tensor weight = shares(size, out_size, target).to(grad.scalar_type());
  return grad.gather(1, rows(target, grad.size(2))) * weight.unsqueeze(-1);
}

}  // namespace xp::model::detail
