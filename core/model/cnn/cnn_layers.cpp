#include "core/model/cnn/cnn_layers.h"

#include <array>
#include <mutex>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/hardswish.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>

namespace xp::model {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  const bool in_place = !(at::GradMode::is_enabled() && x.requires_grad());
  at::Tensor y = x;
  switch (activation) {
    case Activation::kRelu:
      return in_place ? y.relu_() : x.relu();
    case Activation::kHardswish:
      return in_place ? at::hardswish_(y) : at::hardswish(x);
    case Activation::kNone:
      break;
  }
  return x;
}

Maps activate(const Maps& maps, Activation activation) {
  return on_each(maps, [&](const at::Tensor& x) { return activate(x, activation); });
}

Maps add_shortcut(const Maps& branch, const Maps& x) {
  Maps sums;
  for (size_t i = 0; i < x.size(); ++i)
    sums.push_back(at::GradMode::is_enabled() ? branch[i] + x[i]
                                              : at::Tensor(branch[i]).add_(x[i]));
  return sums;
}

BatchNorm::BatchNorm(int64_t channels, double epsilon, double new_batch, const Init& init)
    : weight(init.constant({channels}, 1)),
      bias(init.constant({channels}, 0)),
      running_mean(Init::buffer({channels}, 0)),
      running_var(Init::buffer({channels}, 1)),
      num_batches_tracked(at::zeros({}, at::kLong)),
      eps(epsilon),
      momentum(new_batch) {}

at::Tensor BatchNorm::operator()(const at::Tensor& x, bool training) const {
  if (training) {
    const at::NoGradGuard no_grad;
    at::Tensor count = num_batches_tracked;
    count += 1;
  }
  return at::batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps,
                        /*cudnn_enabled=*/true);
}

Maps BatchNorm::operator()(const Maps& maps, const Training& training) const {
  if (training.groups() != nullptr) return by_groups(maps, *training.groups());
  const bool on(training);
  if (!on || maps.size() == 1)
    return on_each(maps, [&](const at::Tensor& x) { return (*this)(x, on); });
  // Places as rows [N, C]; of maps with channels last that is a view.
  std::vector<at::Tensor> rows;
  std::vector<int64_t> counts;
  for (const at::Tensor& x : maps) {
    rows.push_back(x.permute({0, 2, 3, 1}).flatten(0, 2));
    counts.push_back(rows.back().size(0));
  }
  const std::vector<at::Tensor> parts = (*this)(at::cat(rows), on).split_with_sizes(counts, 0);
  Maps results;
  for (size_t i = 0; i < maps.size(); ++i) {
    const at::Tensor& x = maps[i];
    results.push_back(
        parts[i].unflatten(0, {x.size(0), x.size(2), x.size(3)}).permute({0, 3, 1, 2}));
  }
  return results;
}

at::Tensor BatchNorm::scale() const { return weight * (running_var + eps).rsqrt(); }
at::Tensor BatchNorm::shift() const { return bias - running_mean * scale(); }

void BatchNorm::members(Members& list) {
  list.parameter("weight", weight);
  list.parameter("bias", bias);
  list.buffer("running_mean", running_mean);
  list.buffer("running_var", running_var);
  list.buffer("num_batches_tracked", num_batches_tracked);
}

struct FoldedWeights::State {
  using Key = std::array<std::pair<const void*, uint32_t>, 5>;
  std::mutex mutex;
  Key key{};
  Pair value;
};

FoldedWeights::FoldedWeights() : state_(std::make_unique<State>()) {}
FoldedWeights::FoldedWeights(const FoldedWeights& /*other*/) : FoldedWeights() {}
FoldedWeights& FoldedWeights::operator=(const FoldedWeights& other) {
  if (this != &other) state_ = std::make_unique<State>();
  return *this;
}
FoldedWeights::FoldedWeights(FoldedWeights&&) noexcept = default;
FoldedWeights& FoldedWeights::operator=(FoldedWeights&&) noexcept = default;
FoldedWeights::~FoldedWeights() = default;

FoldedWeights::Pair FoldedWeights::get(const at::Tensor& weight, int64_t axis,
                                       const BatchNorm& norm) const {
  State::Key key;
  const std::array<const at::Tensor*, 5> parts = {&weight, &norm.weight, &norm.bias,
                                                  &norm.running_mean, &norm.running_var};
  for (size_t i = 0; i < parts.size(); ++i) {
    key[i] = {parts[i]->unsafeGetTensorImpl(), parts[i]->_version()};
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->key == key) return state_->value;
  const at::NoGradGuard no_grad;
  const at::Tensor scale = norm.scale();
  // [.., C * n, ..] seen as [.., C, n, ..].
  std::vector<int64_t> split = weight.sizes().vec();
  const auto at = static_cast<size_t>(axis);
  split[at] = scale.size(0);
  split.insert(split.begin() + static_cast<std::ptrdiff_t>(at) + 1,
               weight.size(axis) / scale.size(0));
  std::vector<int64_t> wide(split.size(), 1);
  wide[at] = scale.size(0);
  state_->value = {(weight.detach().reshape(split) * scale.reshape(wide))
                       .reshape(weight.sizes())
                       .to(weight.scalar_type()),
                   norm.shift().to(weight.scalar_type())};
  state_->key = key;
  return state_->value;
}

void FoldedWeights::forget() const {
  const std::lock_guard lock(state_->mutex);
  state_->key = {};
  state_->value = {};
}

at::Tensor kaiming_conv(const Init& init, std::string_view name, const ConvOptions& o) {
  return init.weight(Part::kConvolution, name, {o.out, o.in / o.groups, o.kernel, o.kernel});
}

Linear classifier_linear(int64_t in, int64_t out, const Init& init) {
  return {in, out, Part::kDense, init};
}

ConvNorm::ConvNorm(const ConvOptions& options, Activation activation, const Init& init)
    : options_(options),
      activation_(activation),
      weight_(kaiming_conv(init, "0.weight", options)),
      norm_(options.out, 1e-3, 0.01, init.child("1")) {}

Maps ConvNorm::operator()(const Maps& maps, const Training& training) const {
  const auto convolve = [&](const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    return on_each(maps, [&](const at::Tensor& x) {
      return at::conv2d(x, weight, bias, options_.stride, options_.padding(), options_.dilation,
                        options_.groups);
    });
  };
  if (training || at::GradMode::is_enabled()) {
    folded_.forget();
    return activate(norm_(convolve(weight_, std::nullopt), training), activation_);
  }
  const FoldedWeights::Pair folded = folded_.get(weight_, 0, norm_);
  return activate(convolve(folded.weight, folded.bias), activation_);
}

void ConvNorm::members(Members& list) {
  list.parameter("0.weight", weight_);
  list.child("1", norm_);
}

}  // namespace xp::model
