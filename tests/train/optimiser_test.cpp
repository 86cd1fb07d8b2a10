#include "core/train/optimiser.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

TEST(Optimiser, GroupsHeadLayersAndDecay) {
  schema::OptimiserOptions options;
  options.weight_decay = 0.1;
  options.decay_norm_bias = false;
  options.layer_decay = 0.5;
  options.head_lr_factor = 10;
  const auto tensor = [](std::vector<int64_t> shape) { return at::zeros(shape).requires_grad_(); };
  const std::vector<Trained> tensors{{"cls_token", tensor({1, 1, 4}), 0, false},
                                     {"blocks.0.mlp.weight", tensor({4, 4}), 1, false},
                                     {"blocks.0.mlp.bias", tensor({4}), 1, false},
                                     {"head.weight", tensor({2, 4}), 2, true}};
  const std::vector<Group> groups = make_groups(options, tensors, 3);
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(groups[0].name, "layer0, no decay");
  EXPECT_DOUBLE_EQ(groups[0].lr_factor, 0.25);
  EXPECT_DOUBLE_EQ(groups[0].weight_decay, 0);
  EXPECT_EQ(groups[1].name, "layer1");
  EXPECT_DOUBLE_EQ(groups[1].weight_decay, 0.1);
  EXPECT_EQ(groups[3].name, "head");
  EXPECT_DOUBLE_EQ(groups[3].lr_factor, 10);
  EXPECT_EQ(make_groups(schema::OptimiserOptions(), tensors, 3).size(), 1U);
}

TEST(Optimiser, SgdWithMomentumIsItsFormula) {
  schema::OptimiserOptions options;
  options.kind = schema::OptimiserKind::kSgd;
  options.momentum = 0.9;
  options.weight_decay = 0.1;
  const at::Tensor weight = at::ones({2}).requires_grad_();
  const at::Tensor late = at::ones({2}).requires_grad_();
  Optimiser optimiser(options, {{"weight", weight, 0, false}, {"late", late, 0, false}}, 1);
  double w = 1, v = 0, l = 1, u = 0;
  for (int step = 0; step < 4; ++step) {
    weight.mutable_grad() = at::full({2}, 0.5);
    v = (step == 0 ? 0 : 0.9 * v) + 0.5 + 0.1 * w;
    w -= 0.2 * v;
    if (step >= 2) {
      late.mutable_grad() = at::full({2}, 0.25);
      u = (step == 2 ? 0 : 0.9 * u) + 0.25 + 0.1 * l;
      l -= 0.2 * u;
    }
    optimiser.step(0.2);
    optimiser.zero_grad();
    EXPECT_NEAR(weight[0].item<double>(), w, 1e-6);
    EXPECT_NEAR(late[0].item<double>(), l, 1e-6);
  }
}

TEST(Optimiser, ClipsTheJointNorm) {
  const at::Tensor a = at::zeros({1}).requires_grad_();
  const at::Tensor b = at::zeros({1}).requires_grad_();
  Optimiser optimiser({}, {{"a", a, 0, false}, {"b", b, 0, false}}, 1);
  a.mutable_grad() = at::full({1}, 3.0);
  b.mutable_grad() = at::full({1}, 4.0);
  EXPECT_NEAR(optimiser.gradient_norm().item<double>(), 5, 1e-6);
  optimiser.clip(1, optimiser.gradient_norm());
  EXPECT_NEAR(a.grad().item<double>(), 0.6, 1e-5);
  EXPECT_NEAR(optimiser.gradient_norm().item<double>(), 1, 1e-5);
  optimiser.clip(10, optimiser.gradient_norm());
  EXPECT_NEAR(a.grad().item<double>(), 0.6, 1e-5) << "it is below the limit";
}

}  // namespace
}  // namespace xp::train
