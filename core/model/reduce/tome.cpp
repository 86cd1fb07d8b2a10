#include "core/model/reduce/tome.h"

#include <algorithm>
#include <utility>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/base/error.h"
#include "core/model/reduce/no_autocast.h"
#include "core/model/reduce/tome_device.h"
#include "core/ops/token_merge.h"
#include "core/schema/tome.h"

namespace xp::model {
namespace {

/// [B, H, N, d] keys or a [B, N, C] metric as keys of one head.
at::Tensor as_keys(const at::Tensor& metric) {
  at::Tensor keys = (metric.dim() == 3 ? metric.unsqueeze(1) : metric).detach();
  return keys.stride(3) == 1 ? keys : keys.contiguous();
}

struct Split {
  at::Tensor a, b;  // [B, |A|, C], [B, |B|, C] float32, rows of length 1
};

Split split_keys(const at::Tensor& keys) {
  const int64_t batch = keys.size(0), heads = keys.size(1), tokens = keys.size(2);
  const int64_t channels = keys.size(3);
  Split split{at::empty({batch, (tokens + 1) / 2, channels}, at::kFloat),
              at::empty({batch, tokens / 2, channels}, at::kFloat)};
  float* const a = split.a.mutable_data_ptr<float>();
  float* const b = split.b.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, keys.scalar_type(), "split_keys", [&] {
    const scalar_t* const data = keys.const_data_ptr<scalar_t>();
    at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t clip = begin; clip < end; ++clip) {
        ops::split_normalised(data + clip * keys.stride(0), heads, keys.stride(1), tokens,
                              keys.stride(2), channels, a + clip * split.a.stride(0),
                              b + clip * split.b.stride(0));
      }
    });
  });
  return split;
}

Match match_on_cpu(const at::Tensor& keys, int64_t r, Protect protect) {
  const int64_t batch = keys.size(0), tokens = keys.size(2);
  const Split split = split_keys(keys);
  const at::Tensor scores = at::bmm(split.a, split.b.transpose(1, 2));
  Match match;
  match.before = tokens;
  match.after = tokens - r;
  match.target = at::empty({batch, tokens}, at::kLong);
  match.unmerged = at::empty({batch, (tokens + 1) / 2 - r}, at::kLong);
  match.merged_from = at::empty({batch, r}, at::kLong);
  match.merged_into = at::empty({batch, r}, at::kLong);
  const auto row = [](const at::Tensor& tensor, int64_t clip) {
    return tensor.mutable_data_ptr<int64_t>() + clip * tensor.size(1);
  };
  const float* const score = scores.const_data_ptr<float>();
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t clip = begin; clip < end; ++clip) {
      const ops::MergePlan plan{row(match.target, clip), row(match.unmerged, clip),
                                row(match.merged_from, clip), row(match.merged_into, clip)};
      ops::plan_merge(score + clip * scores.stride(0), tokens, r, protect.cls, protect.dist, plan);
    }
  });
  return match;
}

Match identity_match(const at::Tensor& keys) {
  const int64_t batch = keys.size(0), tokens = keys.size(2);
  const auto options = keys.options().dtype(at::kLong);
  Match match;
  match.before = match.after = tokens;
  match.target = at::arange(tokens, options).repeat({batch, 1});
  match.unmerged = at::arange((tokens + 1) / 2, options).repeat({batch, 1});
  match.merged_from = match.merged_into = at::empty({batch, 0}, options);
  return match;
}

template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Size-weighted means by a target map. The gradient goes to x alone.
class MergeFunction : public torch::autograd::Function<MergeFunction> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& x, const at::Tensor& size,
                                                const at::Tensor& target, int64_t after) {
    const NoAutocast guard;
    at::Tensor out, out_size;
    if (x.is_cpu()) {
      const at::Tensor rows = x.contiguous();
      out = at::empty({x.size(0), after, x.size(2)}, x.options());
      out_size = at::empty({x.size(0), after}, at::kFloat);
      each_clip(rows, [&](auto zero, int64_t clip) {
        using T = decltype(zero);
        ops::merge_forward<T, SumOf<T>>(rows.const_data_ptr<T>() + clip * rows.stride(0),
                                        row_of<float>(size, clip), row_of<int64_t>(target, clip),
                                        rows.size(1), rows.size(2), after,
                                        out.mutable_data_ptr<T>() + clip * out.stride(0),
                                        out_size.mutable_data_ptr<float>() + clip * after);
      });
    } else {
      std::tie(out, out_size) = detail::merge_on_device(x, size, target, after);
    }
    context->save_for_backward({size, target, out_size});
    context->mark_non_differentiable({out_size});
    return {out, out_size};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const NoAutocast guard;
    const auto saved = context->get_saved_variables();
    const at::Tensor& size = saved[0];
    const at::Tensor& target = saved[1];
    const at::Tensor& out_size = saved[2];
    at::Tensor grad_x;
    if (grads[0].is_cpu()) {
      const at::Tensor grad = grads[0].contiguous();
      const int64_t tokens = target.size(1), channels = grad.size(2);
      grad_x = at::empty({grad.size(0), tokens, channels}, grad.options());
      each_clip(grad, [&](auto zero, int64_t clip) {
        using T = decltype(zero);
        ops::merge_backward<T, SumOf<T>>(grad.const_data_ptr<T>() + clip * grad.stride(0),
                                         row_of<float>(size, clip), row_of<float>(out_size, clip),
                                         row_of<int64_t>(target, clip), tokens, channels,
                                         grad_x.mutable_data_ptr<T>() + clip * grad_x.stride(0));
      });
    } else {
      grad_x = detail::merge_grad_on_device(grads[0], size, out_size, target);
    }
    return {grad_x, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  template <class T>
  static const T* row_of(const at::Tensor& tensor, int64_t clip) {
    return tensor.defined() ? tensor.const_data_ptr<T>() + clip * tensor.stride(0) : nullptr;
  }

  template <class Work>
  static void each_clip(const at::Tensor& typed, const Work& work) {
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, typed.scalar_type(), "merge", [&] {
      at::parallel_for(0, typed.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t clip = begin; clip < end; ++clip) work(scalar_t{}, clip);
      });
    });
  }
};

}  // namespace

Match match_tokens(const at::Tensor& metric, int64_t r, Protect protect) {
  const at::NoGradGuard no_grad;
  const NoAutocast no_autocast;
  const at::Tensor keys = as_keys(metric);
  const int64_t tokens = keys.size(2);
  XP_CHECK(tokens >= 2 || r == 0, "one token has nothing to merge with");
  r = schema::merge_limit(r, tokens, protect.count());
  if (r == 0) return identity_match(keys);
  return keys.is_cpu() ? match_on_cpu(keys, r, protect) : detail::match_on_device(keys, r, protect);
}

Match match_every_kth(const at::Tensor& metric, int64_t k) {
  const at::NoGradGuard no_grad;
  const NoAutocast no_autocast;
  const int64_t tokens = metric.size(1), channels = metric.size(2);
  const int64_t groups = tokens / k;
  const at::Tensor unit = metric.to(at::kFloat) / metric.to(at::kFloat).norm(2, {-1}, true);
  const at::Tensor dealt = unit.narrow(1, 0, groups * k).reshape({-1, groups, k, channels});
  const at::Tensor a = dealt.narrow(2, 0, k - 1).reshape({-1, groups * (k - 1), channels});
  const at::Tensor nearest = at::bmm(a, dealt.select(2, k - 1).transpose(1, 2)).argmax(-1);
  Match match;
  match.before = tokens;
  match.after = groups;
  match.target = at::empty({metric.size(0), tokens}, nearest.options()).fill_(-1);
  const at::Tensor groups_of = match.target.narrow(1, 0, groups * k).view({-1, groups, k});
  groups_of.narrow(2, 0, k - 1).copy_(nearest.view({-1, groups, k - 1}));
  groups_of.select(2, k - 1).copy_(at::arange(groups, nearest.options()));
  return match;
}

std::pair<at::Tensor, at::Tensor> merge_tokens(const at::Tensor& x, const at::Tensor& size,
                                               const Match& match) {
  const at::Tensor sizes =
      size.defined() ? size : at::ones(match.target.sizes(), x.options().dtype(at::kFloat));
  auto merged = MergeFunction::apply(x, sizes, match.target, match.after);
  return {merged[0], merged[1]};
}

at::Tensor unmerge_tokens(const at::Tensor& merged, const Match& match) {
  const at::Tensor index = match.target.unsqueeze(-1).expand({-1, -1, merged.size(2)});
  return merged.gather(1, index);
}

at::Tensor trace_source(const at::Tensor& source, const Match& match) {
  const at::Tensor moved = match.target.gather(1, source.clamp_min(0));
  return moved.masked_fill(source < 0, -1);
}

void Tome::reduce(Tokens& tokens, Attended& attended, int64_t block) const {
  const Protect protect{settings_.protect_cls && tokens.special > 0,
                        settings_.protect_dist && tokens.special > 1};
  const auto most = [&](const Run& run) {
    return schema::merge_limit(asked(block), run.tokens, protect.count());
  };
  if (std::none_of(tokens.runs.begin(), tokens.runs.end(),
                   [&](const Run& run) { return most(run) > 0; }))
    return;
  std::vector<at::Tensor> merged, sizes;
  std::vector<Run> runs;
  for (size_t i = 0; i < tokens.runs.size(); ++i) {
    const Run run = tokens.runs[i];
    const at::Tensor size = tokens.size.defined() ? tokens.of_run(tokens.size, i) : at::Tensor();
    const Match match = match_tokens(attended.keys(i), most(run), protect);
    const auto [values, counts] = merge_tokens(tokens.of_run(tokens.x, i), size, match);
    merged.push_back(values);
    sizes.push_back(counts);
    runs.push_back({run.clips, match.after});
    if (!tokens.source.empty()) tokens.source[i] = trace_source(tokens.source[i], match);
  }
  tokens.x = as_rows(merged);
  tokens.size = as_rows(sizes);
  tokens.runs = std::move(runs);
}

std::shared_ptr<const Reducer> make_tome(const schema::TomeOptions& options, int64_t depth) {
  TomeSettings settings;
  settings.r = options.plan(depth);
  settings.prop_attn = options.prop_attn;
  settings.protect_dist = options.protect_dist;
  return std::make_shared<Tome>(std::move(settings));
}

}  // namespace xp::model
