// The start rules as laws; tests/model/init_parity_test.cpp has the originals' distributions.
#include "core/model/init.h"

#include <cmath>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/cnn/mn.h"
#include "core/model/masked.h"
#include "core/model/registry.h"
#include "core/schema/model.h"

namespace xp::model::start_rules {
namespace {

using schema::InitRule;

constexpr auto kRules = {InitRule::kAst,       InitRule::kPasst,  InitRule::kSsast,
                         InitRule::kTorchOnly, InitRule::kXavier, InitRule::kNormal};

TrunkOptions small(int64_t depth) {
  TrunkOptions o;
  o.dim = 24;
  o.depth = depth;
  o.heads = 2;
  o.grid = {2, 3};
  o.classes = 5;
  return o;
}

std::map<std::string, at::Tensor> values_of(Module& module) {
  std::map<std::string, at::Tensor> values;
  for (const NamedTensor& entry : module.parameters()) values[entry.name] = entry.tensor;
  return values;
}

TEST(InitRules, NormalDrawsWhatItAlwaysDrew) {
  MaskedTrunk masked(small(2), Init(7, true, InitRule::kNormal));
  Trunk trunk(small(2), Init(7, true, InitRule::kNormal));
  int64_t drawn = 0;
  for (Module* module : {static_cast<Module*>(&masked), static_cast<Module*>(&trunk)}) {
    for (const auto& [name, tensor] : values_of(*module)) {
      if (name.find("norm") != std::string::npos) continue;
      const at::Tensor expected = name.ends_with(".bias")
                                      ? at::zeros_like(tensor)
                                      : Init(7).normal(name, tensor.sizes().vec(), 0.02);
      EXPECT_TRUE(at::equal(tensor, expected)) << name;
      ++drawn;
    }
  }
  EXPECT_GT(drawn, 40);
}

TEST(InitRules, AValueDependsOnSeedNameAndShapeAlone) {
  for (const InitRule rule : kRules) {
    MaskedTrunk two(small(2), Init(3, true, rule));
    Trunk three(small(3), Init(3, true, rule));
    Trunk other(small(3), Init(4, true, rule));
    const auto a = values_of(two), b = values_of(three), c = values_of(other);
    for (const auto& [name, tensor] : b) {
      if (a.count(name) != 0) {
        EXPECT_TRUE(at::equal(tensor, a.at(name))) << name;
      }
      const bool constant = at::equal(tensor, at::full_like(tensor, tensor.flatten()[0].item()));
      EXPECT_EQ(at::equal(tensor, c.at(name)), constant) << name;
    }
    EXPECT_FALSE(at::equal(b.at("blocks.0.mlp.fc1.weight"), b.at("blocks.1.mlp.fc1.weight")));
  }
}

TEST(InitRules, WithoutDrawingEveryWeightIsZero) {
  for (const InitRule rule : kRules) {
    MaskedTrunk model(small(1), Init(3, false, rule));
    for (const auto& [name, tensor] : values_of(model)) {
      if (name.find("norm") == std::string::npos) {
        EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
      }
    }
  }
}

TEST(InitRules, EfficientAtIsWhatCnnsAlwaysStartedFrom) {
  MnOptions o;
  o.width = 0.1;
  Mn before(o, Init(5)), now(o, Init(5, true, InitRule::kEfficientAt));
  const auto a = values_of(before), b = values_of(now);
  for (const auto& [name, tensor] : a) EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
}

/// A model made by a recipe's options starts by the rule that they resolve to.
TEST(InitRules, ARecipesModelStartsByItsRule) {
  schema::ModelOptions options;
  options.arch = "ast-nano";
  options.fstride = options.tstride = 16;
  const auto head = [&](InitRule rule) {
    options.init = rule;
    const auto model =
        make_model({.options = options, .geometry = {128, 64}, .classes = 6, .seed = 9});
    return values_of(*model).at("head.linear.weight");
  };
  const double xavier = std::sqrt(6.0 / (128 + 6)), torch = 1 / std::sqrt(128.0);
  EXPECT_TRUE(at::equal(head(InitRule::kAuto), head(InitRule::kXavier)));
  EXPECT_LE(head(InitRule::kXavier).abs().max().item<double>(), xavier);
  EXPECT_GT(head(InitRule::kXavier).abs().max().item<double>(), torch);
  EXPECT_LE(head(InitRule::kAst).abs().max().item<double>(), torch);
  EXPECT_THROW(head(InitRule::kEfficientAt), Error);
}

}  // namespace
}  // namespace xp::model::start_rules
