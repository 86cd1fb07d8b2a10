#include "core/model/attention.h"

#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace xp::model {
namespace {

TEST(Attention, PathsAgreeWithBiasAndUnseenKeys) {
  at::manual_seed(1);
  const at::Tensor qkv = at::randn({3, 2, 3, 10, 8});
  at::Tensor bias = at::rand({2, 10});
  bias[1][9] = -std::numeric_limits<float>::infinity();
  for (const at::Tensor& key_bias : {at::Tensor(), bias}) {
    at::Tensor out[2], grad[2];
    for (const int path : {0, 1}) {
      const at::Tensor in = qkv.clone().requires_grad_(true);
      out[path] = attention_by(path == 0 ? AttentionPath::kSdpa : AttentionPath::kEager, in[0],
                               in[1], in[2], key_bias);
      out[path].square().sum().backward();
      grad[path] = in.grad();
    }
    EXPECT_TRUE(at::allclose(out[0], out[1], 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(grad[0], grad[1], 1e-4, 1e-5));
  }
}

TEST(Attention, TableIsFixed) {
  EXPECT_EQ(attention_path(602, at::kFloat, true, true), AttentionPath::kSdpa);
  EXPECT_EQ(attention_path(602, at::kBFloat16, false, true), AttentionPath::kSdpa);
  EXPECT_EQ(attention_path(602, at::kBFloat16, true, true), AttentionPath::kEager);
  EXPECT_EQ(attention_path(1214, at::kBFloat16, true, true), AttentionPath::kSdpa);
  EXPECT_EQ(attention_path(146, at::kBFloat16, true, false), AttentionPath::kSdpa);
}

}  // namespace
}  // namespace xp::model
