#include "core/train/hooks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

TEST(LossScale, HalvesAfterAnOverflow) {
  LossScale scale(true, at::kCPU);
  const at::Tensor a = at::zeros({1}).requires_grad_();
  const std::vector<Trained> tensors{{"a", a, 0, false}};
  a.mutable_grad() = at::full({1}, 65536.0);
  EXPECT_EQ(scale.unscale(tensors).item<float>(), 0);
  EXPECT_DOUBLE_EQ(a.grad().item<double>(), 1);
  a.mutable_grad() = at::full({1}, HUGE_VAL);
  EXPECT_EQ(scale.unscale(tensors).item<float>(), 1);
  EXPECT_EQ(scale.scale().item<float>(), 32768);
}

}  // namespace
}  // namespace xp::train
