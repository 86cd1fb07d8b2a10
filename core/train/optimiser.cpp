#include "core/train/optimiser.h"

#include <cmath>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/model/model.h"

namespace xp::train {
namespace {

/// The 2-norm of all values together.
at::Tensor joint_norm(const std::vector<at::Tensor>& tensors) {
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(tensors, 2)));
}

bool has_decay(const Trained& tensor) {
  if (tensor.tensor.dim() <= 1) return false;
  for (const char* part : {"token", "pos.", "mask_embed"})
    if (tensor.name.find(part) != std::string::npos) return false;
  return true;
}

}  // namespace

std::vector<Trained> trained(const model::Model& model) {
  std::vector<Trained> tensors;
  for (const model::NamedTensor& named : model.parameters()) {
    if (!named.tensor.requires_grad()) continue;
    const model::Placement place = model.placement(named.name);
    tensors.push_back({named.name, named.tensor, place.layer, place.head});
  }
  return tensors;
}

std::vector<Group> make_groups(const schema::OptimiserOptions& options,
                               const std::vector<Trained>& tensors, int64_t layers) {
  const bool by_layer = options.layer_decay != 1;
  const bool by_head = options.head_lr_factor != 1;
  const bool by_decay = !options.decay_norm_bias && options.weight_decay > 0;
  std::vector<Group> groups;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Trained& tensor = tensors[i];
    Group group;
    if (by_head && tensor.head) {
      group.name = "head";
      group.lr_factor = options.head_lr_factor;
    }
    if (by_layer) {
      if (group.name.empty()) group.name = fmt::format("layer{}", tensor.layer);
      group.lr_factor *=
          std::pow(options.layer_decay, static_cast<double>(layers - 1 - tensor.layer));
    }
    if (group.name.empty()) group.name = by_head ? "body" : "all";
    group.weight_decay = options.weight_decay;
    if (by_decay && !has_decay(tensor)) {
      group.name += ", no decay";
      group.weight_decay = 0;
    }
    size_t found = 0;
    while (found < groups.size() && groups[found].name != group.name) ++found;
    if (found == groups.size()) groups.push_back(group);
    groups[found].members.push_back(i);
  }
  return groups;
}

Optimiser::Optimiser(const schema::OptimiserOptions& options, std::vector<Trained> tensors,
                     int64_t layers)
    : options_(options),
      tensors_(std::move(tensors)),
      groups_(make_groups(options_, tensors_, layers)),
      moments_(tensors_.size()) {
  XP_CHECK(options_.betas.size() == 2, "optimiser.betas are two numbers");
}

void Optimiser::make_moments(size_t index) {
  Moments& moments = moments_[index];
  const at::Tensor& tensor = tensors_[index].tensor;
  moments.first = at::zeros_like(tensor, at::MemoryFormat::Preserve).detach();
  if (options_.kind == schema::OptimiserKind::kSgd) return;
  moments.second = at::zeros_like(moments.first);
  // The fused kernels read the step from a float tensor beside the parameter.
  moments.step = at::zeros({}, tensor.options().dtype(at::kFloat).requires_grad(false));
}

void Optimiser::step(double lr, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  for (const Group& group : groups_) {
    if (options_.kind == schema::OptimiserKind::kSgd)
      step_sgd(group, lr * group.lr_factor, skip);
    else
      step_adam(group, lr * group.lr_factor, skip);
  }
}

void Optimiser::step_adam(const Group& group, double lr, const at::Tensor& skip) {
  std::vector<at::Tensor> weights, gradients, first, second, steps;
  for (const size_t i : group.members) {
    const at::Tensor& gradient = tensors_[i].tensor.grad();
    if (!gradient.defined()) continue;
    if (!moments_[i].first.defined()) make_moments(i);
    weights.push_back(tensors_[i].tensor);
    gradients.push_back(gradient);
    first.push_back(moments_[i].first);
    second.push_back(moments_[i].second);
    steps.push_back(moments_[i].step);
  }
  if (weights.empty()) return;
  std::optional<at::Tensor> found_inf;
  if (skip.defined()) {
    found_inf = skip;
    at::_foreach_add_(steps, (1 - skip).squeeze(0));
  } else {
    at::_foreach_add_(steps, 1);
  }
  const auto& o = options_;
  const bool adam = o.kind == schema::OptimiserKind::kAdam;
  if (adam)
    at::_fused_adam_(weights, gradients, first, second, {}, steps, lr, o.betas[0], o.betas[1],
                     group.weight_decay, o.eps, false, false, {}, found_inf);
  else
    at::_fused_adamw_(weights, gradients, first, second, {}, steps, lr, o.betas[0], o.betas[1],
                      group.weight_decay, o.eps, false, false, {}, found_inf);
}

void Optimiser::step_sgd(const Group& group, double lr, const at::Tensor& skip) {
  const auto found_inf = skip.defined() ? std::optional(skip) : std::nullopt;
  // The first momentum of a tensor is its gradient itself, so new tensors take a step of their own.
  for (const bool fresh : {false, true}) {
    std::vector<at::Tensor> weights, gradients, momenta;
    for (const size_t i : group.members) {
      const at::Tensor& gradient = tensors_[i].tensor.grad();
      const bool is_fresh = options_.momentum != 0 && !moments_[i].first.defined();
      if (!gradient.defined() || is_fresh != fresh) continue;
      weights.push_back(tensors_[i].tensor);
      gradients.push_back(gradient);
      if (options_.momentum == 0) continue;
      if (fresh) make_moments(i);
      momenta.push_back(moments_[i].first);
    }
    if (weights.empty()) continue;
    at::_fused_sgd_(weights, gradients, momenta, group.weight_decay, options_.momentum, lr, 0,
                    false, false, fresh && !found_inf, {}, found_inf);
  }
}

void Optimiser::zero_grad() {
  for (const Trained& tensor : tensors_) tensor.tensor.mutable_grad().reset();
}

std::vector<at::Tensor> Optimiser::gradients() const {
  std::vector<at::Tensor> found;
  for (const Trained& tensor : tensors_)
    if (tensor.tensor.grad().defined()) found.push_back(tensor.tensor.grad());
  return found;
}

at::Tensor Optimiser::gradient_norm() const {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> all = gradients();
  if (all.empty()) return at::zeros({}, at::kFloat);
  return joint_norm(all);
}

void Optimiser::clip(double max_norm, const at::Tensor& norm) {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> all = gradients();
  if (!all.empty()) at::_foreach_mul_(all, (max_norm / (norm + 1e-6)).clamp_max(1.0));
}

at::Tensor Optimiser::gradient_norms() const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const Group& group : groups_) {
    std::vector<at::Tensor> found;
    for (const size_t i : group.members)
      if (tensors_[i].tensor.grad().defined()) found.push_back(tensors_[i].tensor.grad());
    norms.push_back(found.empty() ? at::zeros({}, tensors_[0].tensor.options().dtype(at::kFloat))
                                  : joint_norm(found));
  }
  return at::stack(norms);
}

State Optimiser::state() const {
  State state;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Moments& moments = moments_[i];
    if (!moments.first.defined()) continue;
    state.tensors["first/" + tensors_[i].name] = moments.first;
    if (!moments.second.defined()) continue;
    state.tensors["second/" + tensors_[i].name] = moments.second;
    state.tensors["step/" + tensors_[i].name] = moments.step;
  }
  return state;
}

void Optimiser::load(const State& state) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    moments_[i] = {};
    if (state.tensors.count("first/" + name) == 0) continue;
    make_moments(i);
    copy_into(moments_[i].first, state.tensor("first/" + name), name);
    if (!moments_[i].second.defined()) continue;
    copy_into(moments_[i].second, state.tensor("second/" + name), name);
    copy_into(moments_[i].step, state.tensor("step/" + name), name);
  }
}

LossScale::LossScale(bool on, at::Device device) : on_(on) {
  if (!on_) return;
  const at::TensorOptions there = at::TensorOptions().device(device);
  scale_ = at::full({}, 65536, there.dtype(at::kFloat));
  good_ = at::zeros({}, there.dtype(at::kInt));
}

at::Tensor LossScale::unscale(const std::vector<Trained>& tensors) {
  XP_CHECK(on_, "gradients that were not scaled");
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const Trained& tensor : tensors)
    if (tensor.tensor.grad().defined()) gradients.push_back(tensor.tensor.grad());
  at::Tensor bad = at::zeros({1}, scale_.options());
  if (gradients.empty()) return bad;
  at::_amp_foreach_non_finite_check_and_unscale_(gradients, bad, scale_.reciprocal());
  at::_amp_update_scale_(scale_, good_, bad, /*growth=*/2, /*backoff=*/0.5, /*interval=*/2000);
  scale_.clamp_min_(1);
  return bad;
}

State LossScale::state() const {
  State state;
  state.facts["scale"] = on_ ? scale_.item<double>() : 65536.0;
  state.facts["good"] = on_ ? good_.item<int64_t>() : int64_t{0};
  return state;
}

void LossScale::load(const State& state) {
  if (!on_) return;
  scale_.fill_(state.number("scale"));
  good_.fill_(state.integer("good"));
}

}  // namespace xp::train
