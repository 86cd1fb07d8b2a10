#include <gtest/gtest.h>

#include "core/recipe/options_io.h"
#include "core/schema/stage_options.h"

namespace xp::schema {
namespace {

recipe::View view_of(std::map<std::string, recipe::Section, std::less<>> sections) {
  recipe::View view;
  view.sections = std::move(sections);
  return view;
}

TEST(Options, KindBringsItsDefaults) {
  const auto view = view_of({{"frontend", {{"kind", "augment_mel"}, {"mel_bins", int64_t{64}}}}});
  const auto frontend = view.build<FrontendOptions>();
  EXPECT_EQ(frontend.kind, FrontendKind::kAugmentMel);
  EXPECT_EQ(frontend.rate_hz, 32000);
  EXPECT_EQ(frontend.mel_bins, 64);
  EXPECT_EQ(frontend.norm_std, 2.5);
}

TEST(Options, TrainBuildsOnlyWhatIsOn) {
  auto view = view_of({{"model", {{"arch", "mn10"}}}, {"patchout", {{"t", int64_t{3}}}}});
  EXPECT_FALSE(TrainStageOptions::configure(view).tome);
  EXPECT_FALSE(TrainStageOptions::configure(view).patchout);
  view.sections["model"]["arch"] = "ast-nano";
  EXPECT_TRUE(TrainStageOptions::configure(view).tome);
  EXPECT_TRUE(TrainStageOptions::configure(view).patchout);
  EXPECT_FALSE(TrainStageOptions::configure(view).kd);
  view.sections["kd"] = {{"enabled", true}, {"logits", "${stages.teach.output}"}};
  const auto inputs = recipe::inputs_of(TrainStageOptions::configure(view));
  ASSERT_EQ(inputs.size(), 1u);
  EXPECT_EQ(inputs[0].key, "kd.logits");
  EXPECT_EQ(inputs[0].reference, (recipe::Reference{"teach", "output"}));
}

TEST(Options, AutoStartsAsTheOriginalOfTheseSizes) {
  const auto rule = [](const std::string& arch, int64_t dim = 0, int64_t depth = 0,
                       int64_t cut_depth = 0) {
    ModelOptions options;
    options.arch = arch;
    options.dim = dim;
    options.depth = depth;
    options.cut_depth = cut_depth;
    return options.init_rule();
  };
  EXPECT_EQ(rule("ast-base384"), InitRule::kAst);
  EXPECT_EQ(rule("ast-base384", 768, 12), InitRule::kAst) << "the sizes that it has";
  EXPECT_EQ(rule("ast-base384", 384), InitRule::kXavier);
  EXPECT_EQ(rule("ast-base384", 0, 6), InitRule::kXavier);
  EXPECT_EQ(rule("ast-nano"), InitRule::kXavier);
  EXPECT_EQ(rule("passt-s"), InitRule::kPasst);
  EXPECT_EQ(rule("passt-s", 0, 0, 4), InitRule::kPasst) << "PaSST's own way to fewer blocks";
  EXPECT_EQ(rule("ssast-tiny-frame"), InitRule::kSsast);
  EXPECT_EQ(rule("ssast-tiny-frame", 128, 4), InitRule::kXavier);
  EXPECT_EQ(rule("mn04"), InitRule::kEfficientAt);
  EXPECT_EQ(rule("dymn10"), InitRule::kEfficientAt);
  EXPECT_EQ(rule("pool"), InitRule::kXavier);

  ModelOptions other;
  other.arch = "ast-base384";
  other.mlp_dim = 4 * 768;
  EXPECT_EQ(other.init_rule(), InitRule::kAst) << "the width that it has";
  other.mlp_dim = 768;
  EXPECT_EQ(other.init_rule(), InitRule::kXavier);
  other.mlp_dim = 0;
  other.patch_t = 8;
  EXPECT_EQ(other.init_rule(), InitRule::kXavier);
}

TEST(Options, HowFreshWeightsStartIsInNoKeyWhereNoneAreDrawn) {
  auto view = view_of({{"model", {{"arch", "ssast-tiny-patch"}}}});
  const auto texts = [&] {
    return std::vector<std::string>{recipe::canonical_text(TrainStageOptions::configure(view)),
                                    recipe::canonical_text(PretrainStageOptions::configure(view)),
                                    recipe::canonical_text(TeachStageOptions::configure(view)),
                                    recipe::canonical_text(EvaluateStageOptions::configure(view)),
                                    recipe::canonical_text(EmbedStageOptions::configure(view))};
  };
  const auto before = texts();
  view.sections["model"]["head_bias"] = "zero";
  const auto bias = texts();
  view.sections["model"]["init"] = "xavier";
  const auto both = texts();
  EXPECT_NE(before[0], bias[0]);
  EXPECT_EQ(before[1], bias[1]) << "pretraining has no classifier";
  EXPECT_NE(bias[0], both[0]);
  EXPECT_NE(bias[1], both[1]);
  for (size_t scoring = 2; scoring < before.size(); ++scoring)
    EXPECT_EQ(before[scoring], both[scoring]);
}

TEST(Options, CanonicalTextLeavesOutSpeedAndPlaces) {
  auto view = view_of({{"model", {{"arch", "ast-nano"}}}, {"optimiser", {{"lr", 1e-4}}}});
  const std::string before = recipe::canonical_text(TrainStageOptions::configure(view));
  view.sections["train"] = {{"workers", int64_t{3}}};
  view.sections["dataset"] = {
      {"also", recipe::Array{recipe::Table{{"name", "esc50"}, {"root", "/a"}}}}};
  const std::string first = recipe::canonical_text(TrainStageOptions::configure(view));
  view.sections["dataset"] = {
      {"also",
       recipe::Array{recipe::Table{{"name", "esc50"}, {"root", "/b"}, {"shard_mb", int64_t{9}}}}}};
  EXPECT_EQ(first, recipe::canonical_text(TrainStageOptions::configure(view)));
  EXPECT_NE(before, first);
  EXPECT_EQ(before.find("workers"), std::string::npos);
  EXPECT_NE(before.find("optimiser.lr = 1e-4\n"), std::string::npos);
}

TEST(Options, OnlyAnEvaluationIsTimed) {
  const auto plain = view_of({{"model", {{"arch", "ast-nano"}}}});
  auto timed = plain;
  timed.sections["eval"] = {
      {"bench", true}, {"bench_batch", int64_t{8}}, {"bench_reps", int64_t{10}}};
  const auto same = [&]<class T>(const T&) {
    return recipe::canonical_text(T::configure(plain)) ==
           recipe::canonical_text(T::configure(timed));
  };
  EXPECT_TRUE(same(TeachStageOptions{}));
  EXPECT_TRUE(same(EmbedStageOptions{}));
  EXPECT_TRUE(same(BaselineStageOptions{}));
  EXPECT_FALSE(same(EvaluateStageOptions{}));
}

TEST(Options, FoldsShareShards) {
  auto view = view_of({{"dataset", {{"name", "esc50"}, {"test_fold", int64_t{1}}}}});
  const std::string one = recipe::canonical_text(PrepareOptions::configure(view));
  view.sections["dataset"]["test_fold"] = int64_t{2};
  EXPECT_EQ(one, recipe::canonical_text(PrepareOptions::configure(view)));
}

TEST(Options, TextThereAndBack) {
  ModelOptions model = ModelOptions::of_kind(Family::k_passt);
  model.arch = "passt-l";
  model.cut_depth = 2;
  model.drop_path = 0.1;
  const auto back = recipe::from_text<ModelOptions>(recipe::to_text(model));
  EXPECT_EQ(recipe::to_text(back), recipe::to_text(model));
  EXPECT_EQ(back.cut_depth, 2);
  TomeOptions tome;
  tome.r = {true, 0, {4, 2}};
  EXPECT_EQ(recipe::from_text<TomeOptions>(recipe::to_text(tome)).r, tome.r);
}

}  // namespace
}  // namespace xp::schema
