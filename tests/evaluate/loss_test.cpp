#include "core/evaluate/loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace xp::evaluate {
namespace {

TEST(Loss, LabelSmoothingAndSeveralLabels) {
  const at::Tensor labels = at::tensor({1.0F, 1.0F, 0.0F, 0.0F, 0.3F, 0.7F}).reshape({2, 3});
  EXPECT_TRUE(at::allclose(class_distribution(labels),
                           at::tensor({1.0F, 0.0F, 0.0F, 0.0F, 0.3F, 0.7F}).reshape({2, 3})));
  const at::Tensor z = at::zeros({1, 3});
  const at::Tensor y = at::tensor({1.0F, 0.0F, 0.0F}).reshape({1, 3});
  EXPECT_NEAR(label_loss(schema::Loss::kCe, z, y, {}, 0.3).item<double>(), std::log(3.0), 1e-6);
}

}  // namespace
}  // namespace xp::evaluate
