#include "core/schema/cost.h"

#include <gtest/gtest.h>

namespace xp::schema {
namespace {

ModelOptions arch(const std::string& name, int64_t stride = 10) {
  ModelOptions options = ModelOptions::of_kind(*ModelOptions::parse_kind(name));
  options.arch = name;
  if (options.fstride > 0) options.fstride = options.tstride = stride;
  return options;
}

TEST(Cost, AstCountsAsItWasMeasured) {
  // GFLOP of AST base384 with 35 classes, as the profiler of PyTorch counts the original.
  struct Case {
    int64_t frames, r;
    double gflop;
  };
  for (const Case& c :
       {Case{128, 0, 25.6}, Case{512, 0, 115.9}, Case{1024, 0, 261}, Case{512, 8, 105.7},
        Case{512, 16, 95.7}, Case{512, 32, 76.2}, Case{512, 48, 57.6}, Case{128, 48, 4.0}}) {
    TomeOptions tome;
    tome.r.value = c.r;
    const Cost cost = transformer_cost(arch("ast-base384"), {.tome = tome}, {128, c.frames}, 35);
    EXPECT_NEAR(cost.gflop, c.gflop, 0.01 * c.gflop + 0.06) << c.frames << " frames, r " << c.r;
  }
}

TEST(Cost, ParametersOfTheOriginals) {
  // AST: 88.13 M less its two unused ImageNet heads; PaSST-S and PaSST-L: less the unused
  // distillation head.
  const double ast =
      static_cast<double>(transformer_cost(arch("ast-base384"), {}, {128, 1024}, 527).parameters);
  EXPECT_NEAR(ast * 1e-6, 88.13 - 2 * 0.769, 0.01);
  const double s =
      static_cast<double>(transformer_cost(arch("passt-s"), {}, {128, 998}, 527).parameters);
  EXPECT_NEAR(s * 1e-6, 86.15 - 0.405, 0.4);
  const double l =
      static_cast<double>(transformer_cost(arch("passt-l"), {}, {128, 998}, 527).parameters);
  EXPECT_NEAR((s - l) * 1e-6, 86.15 - 50.71, 0.01);
}

TEST(Cost, TokensAndCnns) {
  TomeOptions tome;
  tome.r.value = 96;
  const Cost cost = transformer_cost(arch("ast-base384"), {.tome = tome}, {128, 1024}, 527);
  EXPECT_EQ(cost.tokens, 1214);
  EXPECT_EQ(cost.tokens_out, 80);
  EXPECT_EQ(transformer_cost(arch("mn10"), {}, {128, 1000}, 527).gflop, 0);
}

}  // namespace
}  // namespace xp::schema
