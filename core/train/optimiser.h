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
  void step(double lr);
  void zero_grad();

  /// Scales all gradients so that their joint 2-norm is at most `max_norm`; returns the norm
  /// before.
  double clip(double max_norm);
  /// Joint 2-norm of all gradients; not finite as soon as one of their values is not.
  double gradient_norm() const;
  /// 2-norm of the gradient of each group; 0 where there is none.
  std::vector<double> gradient_norms() const;

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
  void step_adam(const Group& group, double lr);
  void step_sgd(const Group& group, double lr);
  std::vector<at::Tensor> gradients() const;

  schema::OptimiserOptions options_;
  std::vector<Trained> tensors_;
  std::vector<Group> groups_;
  std::vector<Moments> moments_;
};

/// fp16 loss scaling (torch.amp.GradScaler): halves after an overflow, doubles after 2000 good
/// steps.
class LossScale {
 public:
  explicit LossScale(bool on) : on_(on) {}

  bool on() const { return on_; }
  double scale() const { return on_ ? scale_ : 1.0; }
  /// Divides the gradients by the scale. False when one was not finite: the step has to be left
  /// out.
  bool unscale(const std::vector<Trained>& tensors);

  State state() const;
  void load(const State& state);

 private:
  bool on_;
  double scale_ = 65536;
  int64_t good_ = 0;
};

}  // namespace xp::train
