// Batch norm by groups of clips. The sums of each group are made clip by clip and added over the
// ranks, first those of the values, then those of the squared distances from the group's mean: two
// sums cancel nothing, and are the same whichever ranks and passes the clips of the batch are in.
//
// The running statistics of G groups in their order are r <- (1 - m)^G r + sum over g of
// m (1 - m)^(G - 1 - g) b_g. Terms of that sum may come in any order, pass by pass.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "core/model/cnn/cnn_layers.h"
#include "core/model/model.h"
#include "core/model/widths.h"

namespace xp::model {
namespace {

/// [n, C] as factors of maps [n, C, H, W].
at::Tensor over_places(const at::Tensor& rows) { return rows.unsqueeze(2).unsqueeze(3); }

/// The group of each clip of each map.
std::vector<at::Tensor> groups_of(const Maps& maps, const NormGroups& groups) {
  std::vector<int64_t> clips;
  for (const at::Tensor& x : maps) clips.push_back(x.size(0));
  return at::tensor(groups.of_clip, at::kLong).to(maps[0].device()).split_with_sizes(clips, 0);
}

at::Tensor over_ranks(const at::Tensor& sums, const NormGroups& groups) {
  return groups.sum ? groups.sum(sums) : sums;
}

}  // namespace

Training::Training(const Pass& pass, const Widths& widths) : on_(pass.training) {
  if (!on_ || pass.norm_groups == nullptr) return;
  groups_ = *pass.norm_groups;
  groups_->of_clip.clear();
  for (const Widths::Group& group : widths.groups())
    for (const int64_t clip : group.clips)
      groups_->of_clip.push_back(pass.norm_groups->of_clip[static_cast<size_t>(clip)]);
}

Maps BatchNorm::by_groups(const Maps& maps, const NormGroups& groups) const {
  const int64_t channels = weight.size(0);
  const std::vector<at::Tensor> group = groups_of(maps, groups);
  const auto none = [&](int64_t columns) {
    return at::zeros({groups.count + 1, columns}, weight.options().dtype(at::kFloat));
  };

  Maps centred;
  at::Tensor sums = none(channels + 1);  // of the values, and the number of places
  for (size_t i = 0; i < maps.size(); ++i) {
    centred.push_back(maps[i].to(at::kFloat));
    const at::Tensor& x = centred.back();
    const auto places = static_cast<double>(x.size(2) * x.size(3));
    const at::Tensor counts = at::full({x.size(0), 1}, places, x.options());
    sums = at::index_add(sums, 0, group[i], at::cat({x.sum({2, 3}), counts}, 1));
  }
  sums = over_ranks(sums, groups);
  const at::Tensor counted = sums.narrow(1, channels, 1).detach();
  const at::Tensor places = counted.clamp_min(1);
  const at::Tensor mean = sums.narrow(1, 0, channels) / places;

  at::Tensor squares = none(channels);
  for (size_t i = 0; i < maps.size(); ++i) {
    centred[i] = centred[i] - over_places(mean.index_select(0, group[i]));
    squares = at::index_add(squares, 0, group[i], centred[i].square().sum({2, 3}));
  }
  const at::Tensor variance = over_ranks(squares, groups) / places;
  const at::Tensor scale = (variance + eps).rsqrt() * weight;
  Maps results;
  for (size_t i = 0; i < maps.size(); ++i) {
    const at::Tensor y = centred[i] * over_places(scale.index_select(0, group[i]));
    results.push_back((y + bias.view({1, channels, 1, 1})).to(maps[i].scalar_type()));
  }
  count_groups(groups, counted, mean, variance * (places / (places - 1).clamp_min(1)));
  return results;
}

void BatchNorm::count_groups(const NormGroups& groups, const at::Tensor& places,
                             const at::Tensor& mean, const at::Tensor& variance) const {
  const at::NoGradGuard no_grad;
  std::vector<double> weights;
  for (int64_t g = 0; g < groups.count; ++g)
    weights.push_back(momentum * std::pow(1 - momentum, static_cast<double>(groups.count - 1 - g)));
  weights.push_back(0);  // of clips that stand in
  const at::Tensor part = at::tensor(weights, at::kFloat).to(places.device()).unsqueeze(1) *
                          (places > 0).to(at::kFloat);
  const double kept =
      groups.first ? std::pow(1 - momentum, static_cast<double>(groups.count)) : 1.0;
  at::Tensor means = running_mean, variances = running_var, batches = num_batches_tracked;
  means.mul_(kept).add_((mean * part).sum(0));
  variances.mul_(kept).add_((variance * part).sum(0));
  if (groups.first) batches.add_(groups.count);
}

}  // namespace xp::model
