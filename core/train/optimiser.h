#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/optimiser.h"
#include "core/train/state.h"

namespace xp::model {
class Model;
}

namespace xp::train {

/// A tensor that is trained, under its full name, and where it sits in the network.
struct Trained {
  std::string name;
  at::Tensor tensor;  ///< a leaf with requires_grad
  int64_t layer = 0;  ///< 0 the embedding .. layers - 1 the head: `optimiser.layer_decay`
  bool head = false;  ///< `optimiser.head_lr_factor`
};

/// The parameters of `model` that want a gradient, in its order.
std::vector<Trained> trained(const model::Model& model);

/// Tensors that share a learning rate and a weight decay.
struct Group {
  std::string name;      ///< "all", or "head", "layer3", "head, no decay", ...
  double lr_factor = 1;  ///< head_lr_factor * layer_decay^(layers - 1 - layer)
  double weight_decay = 0;
  std::vector<size_t> members;  ///< indices of the tensors
};

/// Groups in order of first appearance. Without decay (unless `decay_norm_bias`): vectors and
/// scalars (norms, biases), and class tokens, mask and position embeddings by name.
std::vector<Group> make_groups(const schema::OptimiserOptions& options,
                               const std::vector<Trained>& tensors, int64_t layers);

/// Adam (L2 decay, added to the gradient), AdamW (decoupled), SGD with momentum, on ATen's fused
/// kernels: one pass over all tensors of a group, on CPU and GPU. A tensor without gradient is
/// passed over: it is not decayed and its step does not count (as torch.optim).
class Optimiser {
 public:
  Optimiser(const schema::OptimiserOptions& options, std::vector<Trained> tensors, int64_t layers);

  /// One step with the groups' rates at `lr` times their factors. Gradients stay until `zero_grad`.
  /// `skip`: [1] float32 on the device, where it is 1 everything stays as it is; undefined = 0.
  void step(double lr, const at::Tensor& skip = {});
  void zero_grad();

  /// Scales all gradients so that their joint 2-norm, which is `norm`, is at most `max_norm`.
  void clip(double max_norm, const at::Tensor& norm);
  /// Joint 2-norm of all gradients, [] float32 on their device; not finite as soon as one of their
  /// values is not.
  at::Tensor gradient_norm() const;
  /// 2-norm of the gradient of each group, [groups] there; 0 where there is none.
  at::Tensor gradient_norms() const;

  const std::vector<Group>& groups() const { return groups_; }
  const std::vector<Trained>& tensors() const { return tensors_; }

  /// Moments and step counts by tensor name.
  State state() const;
  void load(const State& state);

 private:
  struct Moments {
    at::Tensor first, second, step;  // undefined before the first gradient
  };
  void make_moments(size_t index);
  void step_adam(const Group& group, double lr, const at::Tensor& skip);
  void step_sgd(const Group& group, double lr, const at::Tensor& skip);
  std::vector<at::Tensor> gradients() const;

  schema::OptimiserOptions options_;
  std::vector<Trained> tensors_;
  std::vector<Group> groups_;
  std::vector<Moments> moments_;
};

/// fp16 loss scaling (torch.amp.GradScaler): halves after an overflow, doubles after 2000 good
/// steps. Scale and count are on the device of the gradients, so that nobody has to wait for them.
class LossScale {
 public:
  LossScale(bool on, at::Device device);

  bool on() const { return on_; }
  /// What the loss is multiplied by: [] float32; undefined where scaling is off.
  const at::Tensor& scale() const { return scale_; }
  /// Divides the gradients by the scale. Returns [1] float32: 1 when one was not finite, and the
  /// step has to be left out.
  at::Tensor unscale(const std::vector<Trained>& tensors);

  State state() const;
  void load(const State& state);

 private:
  bool on_;
  at::Tensor scale_;  // [] float32: a power of two
  at::Tensor good_;   // [] int32: good steps since it changed
};

}  // namespace xp::train
