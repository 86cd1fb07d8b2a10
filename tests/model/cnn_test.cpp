// What holds for the CNNs beyond their originals' outputs.
#include "core/schema/cnn.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/cnn/dymn.h"
#include "core/model/cnn/mn.h"
#include "core/model/registry.h"

namespace xp::model {
namespace {

TEST(Cnn, WithoutPositionsClipsCountFromZero) {
  const Mn model(MnOptions{}, Init(1));
  const at::Tensor mel = Init(2).normal("mel", {2, 128, 64}, 1).detach();
  const auto logits = [&](const std::vector<int64_t>& positions) {
    Pass pass;
    pass.training = true;
    return model.forward(Input::whole(mel, {0, 0, 0, positions}), pass).logits;
  };
  EXPECT_TRUE(at::equal(logits({}), logits({0, 1})));
  EXPECT_FALSE(at::equal(logits({}), logits({7, 8}))) << "dropout belongs to the clip";
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
  Pass training;
  training.training = true;
  const auto predicted = [&](const Cnn& from) {
    const at::NoGradGuard no_grad;
    return from.forward(Input::whole(mel), {}).logits;
  };
  const at::Tensor before = predicted(model);
  model.forward(Input::whole(mel), training).logits.square().mean().backward();
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

// The clips of a batch are maps of several widths; their places are one batch.
TEST(Cnn, BatchNormOfMapsIsThatOfAllTheirPlaces) {
  const at::Tensor x = Init(5).normal("x", {4, 6, 5, 7}, 1).detach();
  const at::Tensor weights = Init(6).normal("weights", {4, 6, 5, 7}, 1).detach();
  struct Result {
    at::Tensor y, gradient, mean, var;
  };
  const auto trained = [&](bool channels_last, const std::vector<int64_t>& sizes) {
    const BatchNorm norm(6, 1e-3, 0.01, Init(1));
    const at::Tensor in = (channels_last ? x.contiguous(at::MemoryFormat::ChannelsLast) : x)
                              .detach()
                              .clone()
                              .requires_grad_(true);
    const at::Tensor y = at::cat(norm(in.split_with_sizes(sizes), Training(true)));
    (y * weights).sum().backward();
    return Result{y, in.grad(), norm.running_mean, norm.running_var};
  };
  const Result want = trained(false, {4});
  for (const bool channels_last : {false, true}) {
    const Result got = trained(channels_last, {1, 2, 1});
    EXPECT_TRUE(at::allclose(got.y, want.y, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(got.gradient, want.gradient, 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(got.mean, want.mean, 1e-5, 1e-7));
    EXPECT_TRUE(at::allclose(got.var, want.var, 1e-5, 1e-7));
  }
}

// In groups of two, the clips of each are normalised alone, one group after the other; and so they
// are in two passes, whichever of them is the first.
TEST(Cnn, BatchNormByGroupsIsThatOfEachGroup) {
  const at::Tensor x = Init(5).normal("x", {5, 6, 5, 7}, 1).detach();
  const at::Tensor weights = Init(6).normal("weights", {5, 6, 5, 7}, 1).detach();
  struct Result {
    at::Tensor y, gradient, mean, var;
  };
  const auto trained = [&](auto normalised) {
    const BatchNorm norm(6, 1e-3, 0.1, Init(1));
    const at::Tensor in = x.detach().clone().requires_grad_(true);
    const at::Tensor y = normalised(norm, in);
    (y * weights).sum().backward();
    EXPECT_EQ(norm.num_batches_tracked.template item<int64_t>(), 3);
    return Result{y, in.grad(), norm.running_mean, norm.running_var};
  };
  const auto by_groups = [&](const BatchNorm& norm, const at::Tensor& in, int64_t from, int64_t to,
                             bool first) {
    NormGroups groups;
    groups.count = 3;
    groups.first = first;
    for (int64_t i = from; i < to; ++i) groups.of_clip.push_back(i / 2);
    Pass pass;
    pass.training = true;
    pass.norm_groups = &groups;
    const Widths widths(std::vector<int64_t>(static_cast<size_t>(to - from), 7));
    return norm(Maps{in.narrow(0, from, to - from)}, Training(pass, widths))[0];
  };
  const Result want = trained([](const BatchNorm& norm, const at::Tensor& in) {
    return at::cat({norm(in.narrow(0, 0, 2), true), norm(in.narrow(0, 2, 2), true),
                    norm(in.narrow(0, 4, 1), true)});
  });
  const Result once = trained(
      [&](const BatchNorm& norm, const at::Tensor& in) { return by_groups(norm, in, 0, 5, true); });
  const Result twice = trained([&](const BatchNorm& norm, const at::Tensor& in) {
    const at::Tensor behind = by_groups(norm, in, 4, 5, true);
    return at::cat({by_groups(norm, in, 0, 4, false), behind});
  });
  for (const Result& got : {once, twice}) {
    EXPECT_TRUE(at::allclose(got.y, want.y, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(got.gradient, want.gradient, 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(got.mean, want.mean, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(got.var, want.var, 1e-5, 1e-6));
  }
}

/// A training step of clips of unequal length: what lies behind their ends is not heard.
template <class Cnn>
void expect_ends_are_not_heard(const std::function<Cnn()>& make) {
  at::Tensor mel = Init(2).normal("mel", {3, 64, 96}, 1).detach();
  Pass pass;
  pass.training = true;
  const auto step = [&] {
    const Cnn model = make();
    const at::Tensor logits = model.forward({{mel, {96, 40, 71}}}, pass).logits;
    logits.square().mean().backward();
    std::vector<at::Tensor> all = {logits.detach()};
    for (const NamedTensor& p : model.parameters())
      if (p.tensor.grad().defined()) all.push_back(p.tensor.grad());
    for (const NamedTensor& b : model.buffers()) all.push_back(b.tensor);
    return all;
  };
  const std::vector<at::Tensor> want = step();
  mel.select(0, 1).narrow(1, 40, 56).fill_(9);
  mel.select(0, 2).narrow(1, 71, 25).fill_(9);
  const std::vector<at::Tensor> got = step();
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], want[i])) << i;
}

TEST(Cnn, TrainingDoesNotHearBehindAClipsEnd) {
  expect_ends_are_not_heard<Mn>([] {
    MnOptions options;
    options.width = 0.1;
    return Mn(options, Init(1));
  });
  expect_ends_are_not_heard<Dymn>([] {
    DymnOptions options;
    options.width = 0.1;
    return Dymn(options, 30, Init(1));
  });
}

schema::ModelOptions tiny_mn(const std::string& se_dims) {
  schema::ModelOptions options = schema::ModelOptions::of_kind(schema::Family::k_mn);
  options.arch = "mn01";
  options.se_dims = se_dims;
  return options;
}

TEST(Cnn, SqueezeAndExcitationHasTheGatesOfItsDims) {
  constexpr Geometry kInput{64, 96};
  for (const char* dims : {"c", "f", "t", "cf", "ct", "ft", "cft", "none"}) {
    SCOPED_TRACE(dims);
    const schema::ModelOptions options = tiny_mn(dims);
    const auto model = make_model({.options = options, .geometry = kInput, .classes = 5});
    EXPECT_EQ(model->parameter_count(), schema::cnn_cost(options, kInput, 5).parameters);
    const at::Tensor mel = Init(2).normal("mel", {2, 64, 96}, 1).detach();
    EXPECT_TRUE(model->forward(Input::whole(mel), {}).logits.isfinite().all().item<bool>());
  }
}

TEST(Cnn, ALengthThatTheGatesDoNotFitIsSaid) {
  const auto model = make_model({.options = tiny_mn("ct"), .geometry = {64, 96}, .classes = 5});
  try {
    model->forward(Input::whole(at::zeros({1, 64, 160})), {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "model.se_dims gates 12 frames where this input has 20: give the model inputs of the "
              "size that it was made for");
  }
}

TEST(Cnn, GatesOfSeveralDimsAreMerged) {
  MnOptions options;
  const at::Tensor x = Init(3).normal("x", {2, 16, 8, 24}, 1).detach();
  const auto gated = [&](std::vector<int64_t> axes, std::vector<int64_t> sizes,
                         schema::SqueezeMerge merge, const Init& init) {
    options.se_agg = merge;
    return SqueezeExcite(std::move(axes), sizes, options, init)(x).detach();
  };
  // A gate's values are of its place in the list: both alone are drawn at place 0.
  const at::Tensor rows = gated({2}, {8}, schema::SqueezeMerge::kMax, Init(4));
  const at::Tensor both = gated({2, 2}, {8, 8}, schema::SqueezeMerge::kAdd, Init(4));
  const at::Tensor other = both - rows;
  const auto merged = [&](schema::SqueezeMerge merge) {
    return gated({2, 2}, {8, 8}, merge, Init(4));
  };
  EXPECT_FALSE(at::allclose(rows, other));
  EXPECT_TRUE(at::allclose(merged(schema::SqueezeMerge::kAvg), both / 2));
  EXPECT_TRUE(at::allclose(merged(schema::SqueezeMerge::kMax), at::max(rows, other), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(merged(schema::SqueezeMerge::kMin), at::min(rows, other), 1e-5, 1e-6));
}

}  // namespace
}  // namespace xp::model
