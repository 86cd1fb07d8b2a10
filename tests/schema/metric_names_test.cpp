#include "core/schema/metric_names.h"

#include <gtest/gtest.h>

#include "core/metric/metrics.h"
#include "core/schema/train.h"
#include "tests/schema/recipe_files.h"

namespace xp::schema {
namespace {

constexpr const char* kStages = R"(
[dataset]
name = "audioset"
root = "data"
[model]
arch = "ast-base384"
[optimiser]
lr = 1e-4
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
[stages.vectors]
do = "embed"
checkpoint = "${stages.train.last}"
)";

TEST(MetricNames, AStageHasWhatItMakes) {
  const RecipeFiles files(kStages);
  const recipe::Recipe recipe = files.load_set({});
  for (const char* name : {"eval.seconds", "vectors.rows", "eval.no_tome/gflop", "eval.mAP_hi",
                           "train.lr", "train.train.grad_norm/head"})
    EXPECT_EQ(why_no_metric(recipe, name), std::nullopt) << name;
  for (const char* name : {"train.seconds", "eval.rows", "vectors.mAP", "train.clips_per_s",
                           "train.no_tome/gflop", "train.ap/m_0", "eval.grad_norm/head"})
    EXPECT_NE(why_no_metric(recipe, name), std::nullopt) << name;
}

TEST(MetricNames, EveryMetricOfScoredClipsIsAnEvaluations) {
  const RecipeFiles files(kStages);
  const recipe::Recipe recipe = files.load_set({});
  for (const metric::Metric& line : metric::table()) {
    if (line.compute == nullptr) continue;
    EXPECT_EQ(why_no_metric(recipe, "eval." + std::string(line.name)), std::nullopt) << line.name;
    EXPECT_EQ(accepts_goal("max:val." + std::string(line.name)),
              line.better != metric::Better::kUnknown)
        << line.name;
  }
}

}  // namespace
}  // namespace xp::schema
