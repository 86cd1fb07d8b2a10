// What holds for the CNNs beyond their originals' outputs.
#include <array>
#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/model/dymn.h"
#include "core/model/mn.h"

namespace xp::model {
namespace {

TEST(Cnn, WithoutPositionsClipsCountFromZero) {
  const Mn model(MnOptions{}, Init(1));
  const at::Tensor mel = Init(2).normal("mel", {2, 128, 64}, 1).detach();
  const auto logits = [&](std::span<const int64_t> positions) {
    ForwardContext context;
    context.training = true;
    context.positions = positions;
    return model.forward(mel, context).logits;
  };
  constexpr std::array<int64_t, 2> kFirst{0, 1};
  constexpr std::array<int64_t, 2> kOthers{7, 8};
  EXPECT_TRUE(at::equal(logits({}), logits(kFirst)));
  EXPECT_FALSE(at::equal(logits({}), logits(kOthers))) << "dropout belongs to the clip";
}

// Convolutions between layouts cost a third of a training step.
TEST(Cnn, MapsOnTheCpuKeepChannelsLast) {
  const Mn model(MnOptions{}, Init(1));
  for (const at::Tensor& map : model.stages(Init(2).normal("mel", {2, 128, 64}, 1).detach()))
    EXPECT_TRUE(map.is_contiguous(at::MemoryFormat::ChannelsLast)) << map.sizes();
}

// Batch norm and fused optimiser steps write tensors without counting it.
template <class Cnn>
void expect_training_is_seen(const std::function<Cnn()>& make, const at::Tensor& mel) {
  const Cnn model = make();
  ForwardContext training;
  training.training = true;
  const auto predicted = [&](const Cnn& from) {
    const at::NoGradGuard no_grad;
    return from.forward(mel, ForwardContext{}).logits;
  };
  const at::Tensor before = predicted(model);
  model.forward(mel, training).logits.square().mean().backward();
  {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> weights, gradients, first, second, steps;
    for (const NamedTensor& p : model.parameters()) {
      if (!p.tensor.grad().defined()) continue;
      weights.push_back(p.tensor);
      gradients.push_back(p.tensor.grad());
      first.push_back(at::zeros_like(p.tensor));
      second.push_back(at::zeros_like(p.tensor));
      steps.push_back(at::ones({}));
    }
    at::_fused_adamw_(weights, gradients, first, second, {}, steps, 1e-2, 0.9, 0.999, 0, 1e-8,
                      false, false);
  }
  const at::Tensor after = predicted(model);
  EXPECT_FALSE(at::allclose(before, after));
  const Cnn other = make();
  const std::vector<NamedTensor> from = model.state();
  const std::vector<NamedTensor> to = other.state();
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].tensor).copy_(from[i].tensor);
  EXPECT_TRUE(at::equal(after, predicted(other)));
}

TEST(Cnn, PredictsWithTheWeightsThatTrainingLeft) {
  const at::Tensor mel = Init(2).normal("mel", {2, 128, 64}, 1).detach();
  expect_training_is_seen<Mn>([] { return Mn(MnOptions{}, Init(1)); }, mel);
  expect_training_is_seen<Dymn>([] { return Dymn(DymnOptions{}, 30, Init(1)); }, mel);
}

}  // namespace
}  // namespace xp::model
