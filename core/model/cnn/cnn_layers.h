#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/init.h"
#include "core/model/layers.h"
#include "core/model/module.h"
#include "core/model/norm_groups.h"

namespace xp::model {

struct Pass;
class Widths;

/// Feature maps [b, C, F', T'] of the clips of each width, in the order of model::Widths. Each
/// layer goes over all of them before the next begins, so every convolution has zeros behind a
/// clip's own end, every mean is over its own places, and batch norm is over all clips.
using Maps = std::vector<at::Tensor>;

/// work(map) of each.
template <class Work>
Maps on_each(const Maps& maps, const Work& work) {
  Maps results;
  for (const at::Tensor& map : maps) results.push_back(work(map));
  return results;
}

enum class Activation { kNone, kRelu, kHardswish };

/// Applies it, in place where no gradient is recorded.
at::Tensor activate(const at::Tensor& x, Activation activation);
Maps activate(const Maps& maps, Activation activation);

/// branch + x, in place where no gradient is recorded.
Maps add_shortcut(const Maps& branch, const Maps& x);

/// How batch norm takes a pass: in evaluation, or in training by groups of clips.
class Training {
 public:
  Training() = default;  ///< evaluation
  explicit Training(bool on) : on_(on) {}
  /// The groups of `pass` in the order of maps.
  Training(const Pass& pass, const Widths& widths);

  explicit operator bool() const { return on_; }
  /// Null where all clips of the pass are one group.
  const NormGroups* groups() const { return groups_ ? &*groups_ : nullptr; }

 private:
  bool on_ = false;
  std::optional<NormGroups> groups_;
};

/// Batch normalisation over [B, C, H, W] or [N, C]. `momentum` is the weight of the new batch.
class BatchNorm : public Module {
 public:
  BatchNorm() = default;
  BatchNorm(int64_t channels, double eps, double momentum, const Init& init);

  /// Training: statistics of the batch, and the running ones are updated. Else the running ones.
  at::Tensor operator()(const at::Tensor& x, bool training) const;
  /// The batch are the places of all maps, or of those of each group.
  Maps operator()(const Maps& maps, const Training& training) const;

  /// What it does in evaluation, y = x * scale + shift, each [C].
  at::Tensor scale() const;
  at::Tensor shift() const;

  at::Tensor weight, bias, running_mean, running_var;
  at::Tensor num_batches_tracked;  ///< int64 scalar
  double eps = 1e-3;
  double momentum = 0.01;

 protected:
  void members(Members& list) override;

 private:
  Maps by_groups(const Maps& maps, const NormGroups& groups) const;
  /// Into the running statistics: mean and unbiased variance [G + 1, C] of groups with so many
  /// places [G + 1, 1], those without are of another pass.
  void count_groups(const NormGroups& groups, const at::Tensor& places, const at::Tensor& mean,
                    const at::Tensor& variance) const;
};

/// A convolution's weights with a batch norm multiplied in, kept until one of the tensors is
/// written (told by their version counters) or `forget` is called. Copies start empty. Threads may
/// share one.
class FoldedWeights {
 public:
  struct Pair {
    at::Tensor weight, bias;
  };
  FoldedWeights();
  FoldedWeights(const FoldedWeights&);
  FoldedWeights& operator=(const FoldedWeights&);
  FoldedWeights(FoldedWeights&&) noexcept;
  FoldedWeights& operator=(FoldedWeights&&) noexcept;
  ~FoldedWeights();

  /// `weight` times the norm's scale along `axis`, of which each element of the scale covers
  /// weight.size(axis) / C neighbours; and the norm's shift.
  Pair get(const at::Tensor& weight, int64_t axis, const BatchNorm& norm) const;
  /// To be called by every pass that trains: fused optimiser steps and the running statistics of
  /// at::batch_norm change tensors without counting it.
  void forget() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct ConvOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 1;  ///< square, odd; padded so that stride 1 keeps the size
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t groups = 1;
  int64_t padding() const { return (kernel - 1) / 2 * dilation; }
  /// Positions along an axis of `length`.
  int64_t output(int64_t length) const {
    return (length + 2 * padding() - dilation * (kernel - 1) - 1) / stride + 1;
  }
};

/// Convolution without bias, batch norm (eps 1e-3, momentum 0.01), activation. Names: "0.weight",
/// "1.*".
class ConvNorm : public Module {
 public:
  ConvNorm() = default;
  ConvNorm(const ConvOptions& options, Activation activation, const Init& init);
  Maps operator()(const Maps& maps, const Training& training) const;
  const at::Tensor& weight() const { return weight_; }

 protected:
  void members(Members& list) override;

 private:
  ConvOptions options_;
  Activation activation_ = Activation::kNone;
  at::Tensor weight_;
  BatchNorm norm_;
  FoldedWeights folded_;
};

/// Weights normal with std sqrt(2 / (out * kernel^2)): Kaiming's rule by fan-out.
at::Tensor kaiming_conv(const Init& init, std::string_view name, const ConvOptions& options);

/// A linear layer whose weights start normal with std 0.01, bias 0.
Linear classifier_linear(int64_t in, int64_t out, const Init& init);

}  // namespace xp::model
