// Keys that are said for a checkpoint beside its file: `--set model.KEY=VALUE`.
#include "core/schema/adjust.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace xp::schema {
namespace {

ModelOptions of(const std::string& arch) {
  ModelOptions options = ModelOptions::of_kind(*ModelOptions::parse_kind(arch));
  options.arch = arch;
  return options;
}

std::string fault_of(const std::string& setting, const std::string& arch = "dymn10") {
  ModelOptions model = of(arch);
  FrontendOptions frontend = FrontendOptions::of_kind(FrontendKind::kAugmentMel);
  try {
    adjust({setting}, model, frontend);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Adjust, SetsWhatIsSaidAndNothingElse) {
  ModelOptions model = of("dymn10");
  FrontendOptions frontend = FrontendOptions::of_kind(FrontendKind::kAugmentMel);
  const auto keys = adjust({"model.no_ca=true", "model.strides=[2, 2, 2, 1]",
                            "model.dy_temperature=30", "frontend.mel_bins=64"},
                           model, frontend);
  EXPECT_EQ(keys, (std::set<std::string>{"frontend.mel_bins", "model.dy_temperature", "model.no_ca",
                                         "model.strides"}));
  EXPECT_TRUE(model.no_ca);
  EXPECT_EQ(model.strides, (std::vector<int64_t>{2, 2, 2, 1}));
  EXPECT_EQ(model.resolved().strides, (std::array<int64_t, 4>{2, 2, 2, 1}));
  EXPECT_EQ(model.dy_temperature, 30);
  EXPECT_EQ(model.arch, "dymn10");
  EXPECT_EQ(frontend.mel_bins, 64);
  EXPECT_EQ(frontend.rate_hz, 32000);
}

TEST(Adjust, RefusesWhatIsNoKeyOfTheModelByItsName) {
  for (const char* setting :
       {"model.no_cat=true", "train.epochs=3", "model.se_dims=c", "model.strides=[2, 3, 2, 2]",
        "model.strides=[2, 2]", "model.dyconv_k=many", "model.arch=mn10", "model.weights=none"}) {
    const std::string key = std::string(setting).substr(0, std::string(setting).find('='));
    EXPECT_NE(fault_of(setting).find(key), std::string::npos)
        << setting << ": " << fault_of(setting);
  }
  EXPECT_NE(fault_of("model.no_ca").find("KEY=VALUE"), std::string::npos);
  EXPECT_EQ(fault_of("model.se_dims=fc", "mn10"), "");
}

TEST(Adjust, DifferencesNameTheKeyAndBothValues) {
  ModelOptions theirs = of("ast-tiny224");
  theirs.norm_first = false;
  const auto found = model_differences(theirs, of("ast-tiny224"), keys_without_trace());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key, "norm_first");
  EXPECT_EQ(found[0].theirs, "false");
  EXPECT_EQ(found[0].ours, "true");
}

TEST(Sizes, AreThoseOfTheListedArchitectureOrKeysOfTheirOwn) {
  ModelOptions model = ModelOptions::of_kind(Family::k_ast);
  set_sizes(model, Family::k_ast, {192, 12, 3, 16, 16});
  EXPECT_EQ(model.arch, "ast-tiny224");
  EXPECT_EQ(model.dim + model.depth + model.heads + model.patch_f + model.patch_t, 0);
  for (const TransformerSizes& sizes :
       {TransformerSizes{32, 2, 4, 16, 16}, {768, 6, 12, 8, 8}, {384, 12, 12, 16, 16}}) {
    for (const Family family : {Family::k_ast, Family::k_passt, Family::k_ssast}) {
      set_sizes(model, family, sizes);
      const Arch arch = model.resolved();
      EXPECT_EQ(arch.family, family);
      EXPECT_EQ(arch.dim, sizes.dim);
      EXPECT_EQ(arch.depth, sizes.depth);
      EXPECT_EQ(arch.heads, sizes.heads);
      EXPECT_EQ(arch.patch_f, sizes.patch_f);
      EXPECT_EQ(arch.patch_t, sizes.patch_t);
    }
  }
}

}  // namespace
}  // namespace xp::schema
