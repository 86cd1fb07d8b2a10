// Gradients through token merging, patchout and a distillation loss against finite differences, in
// float64; and the tensor-operation version of merging against the CPU's kernels.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/model/reduce/tome_device.h"
#include "core/model/trunk.h"

namespace xp::model {
namespace {

TEST(Gradients, MergingPatchoutAndDistillationAgreeWithFiniteDifferences) {
  TrunkOptions o;
  o.dim = 12;
  o.depth = 2;
  o.heads = 2;
  o.patch_f = o.patch_t = o.stride_f = o.stride_t = 4;
  o.grid = {3, 6};
  o.classes = 3;
  o.position = PositionKind::kSeparate;
  o.reducers = {std::make_shared<Tome>(TomeSettings{.r = {3, 2}})};
  o.patchout.columns = 2;
  o.patchout.tokens = 1;
  Trunk model(o, Init(5));
  model.to(at::kDouble);
  {
    const at::NoGradGuard no_grad;
    for (NamedTensor& entry : model.parameters()) entry.tensor.mul_(8);
  }
  at::manual_seed(2);
  const at::Tensor mel = at::randn({2, 12, 24}, at::kDouble);
  const at::Tensor labels = at::randint(2, {2, 3}, at::kDouble);
  const at::Tensor teacher = at::randn({2, 3}, at::kDouble).sigmoid();
  Pass pass;
  pass.training = true;
  const auto loss = [&] {
    const at::Tensor z = model.forward(Input::whole(mel), pass).logits;
    return 0.3 * at::binary_cross_entropy_with_logits(z, labels) +
           0.7 * at::binary_cross_entropy_with_logits(z, teacher);
  };
  loss().backward();
  constexpr double kStep = 1e-6;
  int compared = 0;
  for (NamedTensor& entry : model.parameters()) {
    const at::Tensor gradient = entry.tensor.grad();
    ASSERT_TRUE(gradient.defined()) << entry.name;
    for (int64_t probe = 0; probe < 3; ++probe) {
      const int64_t i = probe * (entry.tensor.numel() - 1) / 2;
      const at::NoGradGuard no_grad;
      double* const value = entry.tensor.mutable_data_ptr<double>() + i;
      const double before = *value;
      *value = before + kStep;
      const double above = loss().item<double>();
      *value = before - kStep;
      const double below = loss().item<double>();
      *value = before;
      const double got = gradient.contiguous().const_data_ptr<double>()[i];
      EXPECT_NEAR(got, (above - below) / (2 * kStep), 1e-7 + 1e-5 * std::abs(got))
          << entry.name << ' ' << i;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 3 * static_cast<int>(model.parameters().size()));
}

TEST(TomeOnDevices, TensorOperationsAgreeWithTheKernels) {
  at::manual_seed(3);
  for (const Protect protect : {Protect{false, false}, Protect{true, false}, Protect{true, true}}) {
    for (const int64_t tokens : {9, 20, 33}) {
      const at::Tensor keys = at::randn({2, 3, tokens, 8});
      const int64_t r = schema::merge_limit(5, tokens, protect.count());
      const Match kernel = match_tokens(keys, r, protect);
      const Match ops = detail::match_on_device(keys, r, protect);
      EXPECT_TRUE(at::equal(kernel.target, ops.target));
      EXPECT_TRUE(at::equal(kernel.unmerged, ops.unmerged));
      EXPECT_TRUE(at::equal(kernel.merged_from, ops.merged_from));
      const at::Tensor x = at::randn({2, tokens, 6}).requires_grad_(true);
      const at::Tensor size = at::randint(1, 4, {2, tokens}, at::kFloat);
      const auto [merged, sizes] = merge_tokens(x, size, kernel);
      const auto [merged_ops, sizes_ops] =
          detail::merge_on_device(x.detach(), size, ops.target, ops.after);
      EXPECT_TRUE(at::allclose(merged, merged_ops, 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(sizes, sizes_ops));
      const at::Tensor grad = at::randn_like(merged);
      merged.backward(grad);
      EXPECT_TRUE(at::allclose(
          x.grad(), detail::merge_grad_on_device(grad, size, sizes_ops, ops.target), 1e-5, 1e-6));
    }
  }
}

TEST(Tome, BrokenScoresStillMerge) {
  const at::Tensor metric = at::full({1, 12, 4}, std::nan(""));
  const Match match = match_tokens(metric, 3, {true, true});
  EXPECT_EQ(match.after, 9);
  EXPECT_EQ(match.target.min().item<int64_t>(), 0);
  EXPECT_EQ(match.target.max().item<int64_t>(), 8);
  EXPECT_EQ(match.target[0][0].item<int64_t>(), 0);
  EXPECT_EQ(match.target[0][1].item<int64_t>(), 1);
}

TEST(Tome, MergingKeepsTheWeightedSum) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({2, 31, 5});
  at::Tensor merged = x, size = at::ones({2, 31});
  for (const int64_t r : {4, 9, 99, 99, 99}) {
    std::tie(merged, size) = merge_tokens(merged, size, match_tokens(merged, r, {true, true}));
    EXPECT_TRUE(at::allclose((merged * size.unsqueeze(-1)).sum(1), x.sum(1), 1e-4, 1e-4));
    EXPECT_TRUE(at::equal(merged.select(1, 0), x.select(1, 0)));
  }
  EXPECT_EQ(merged.size(1), 4);  // r is clamped: 31, 27, 18, 10, 6, 4
}

}  // namespace
}  // namespace xp::model
