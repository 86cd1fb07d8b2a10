// Labels and metrics that cannot mean what a recipe takes them for: said, once.
#include "core/train/label_checks.h"

#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/train/run.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

class LabelChecksIntegration : public Stages {};

TEST_F(LabelChecksIntegration, ClassesOfOtherSplitsWithoutATrainingClipAreNamed) {
  tracker::NullSink null;
  batches::Clips clips = batches::open_clips(stage("labels", null), small_set());
  EXPECT_TRUE(label_warnings(clips, schema::Loss::kCe).empty());
  clips.dataset.train_p = 0.02;
  std::set<int32_t> trained;
  for (const uint32_t row : clips.rows("train"))
    trained.insert(clips.shards->labels().of(row).front());
  ASSERT_LT(trained.size(), 3U);
  const std::vector<std::string> found = label_warnings(clips, schema::Loss::kCe);
  ASSERT_EQ(found.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(found[i].starts_with(
        fmt::format("{} of 3 classes have clips in the {} split and none in the training split: ",
                    3 - trained.size(), i == 0 ? "val" : "test")))
        << found[i];
    for (int32_t k = 0; k < 3; ++k) {
      const bool named =
          found[i].find(clips.shards->classes()[static_cast<size_t>(k)].name) != std::string::npos;
      EXPECT_EQ(named, trained.count(k) == 0) << found[i];
    }
  }
}

TEST_F(LabelChecksIntegration, SeveralLabelsUnderCrossEntropyAreWarnedOfByTheTraining) {
  schema::PrepareOptions prepare;
  prepare.dataset = small_set();
  prepare.dataset.labels_per_clip = 2;
  tracker::MemorySink sink;
  graph::StageContext shards = stage("prepare", sink);
  shards.output = *folder_ / "prepare_two";
  fs::create_directories(shards.output);
  data::run_prepare(prepare, shards);

  schema::TrainStageOptions options = small_training();
  options.dataset = prepare.dataset;
  options.train.epochs = 1;
  std::string said;
  graph::StageContext context = stage("two_labels", sink);
  context.inputs.clear();
  add(context, "data", "prepare_two", "output");
  context.say = [&said](std::string_view line) { said += std::string(line) + "\n"; };
  run_train(options, context);
  const std::string want = "WARNING: train.loss = \"ce\" takes one label a clip: of ";
  const size_t at = said.find(want);
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find(want, at + 1), std::string::npos) << "once";
  batches::Clips clips = batches::open_clips(context, options.dataset);
  EXPECT_TRUE(label_warnings(clips, schema::Loss::kBce).empty());
}

TEST(AbsentMetrics, AreSaidWithTheReason) {
  evaluate::ScoredSplit split;
  split.ids = {"a", "b", "c"};
  split.classes = {{"x", "x"}, {"y", "y"}};
  split.logits = {1, 2, 3, 1, 2, 3};
  split.targets = {1, 0, 1, 0, 1, 0};  // x in every clip, y in none
  schema::EvalOptions options;
  options.metrics = {schema::Metric::k_mAP, schema::Metric::k_auc, schema::Metric::k_d_prime};
  const evaluate::Evaluation none = evaluate::evaluate(split, options, 0);
  ASSERT_EQ(none.absent.size(), 3U);
  for (const char* leaf : {"mAP", "auc", "d_prime"}) {
    EXPECT_EQ(none.metrics.count(leaf), 0U);
    EXPECT_EQ(none.absent.at(leaf), "no class of the split has both positive and negative clips");
  }
  EXPECT_EQ(none.metrics.at("mAP_classes"), 0);
  EXPECT_EQ(none.metrics.at("mAP_all"), 0.5);  // the class with positives alone counts 1

  split.targets = {0, 0, 1, 0, 0, 0};  // x in the clip with its highest score
  const evaluate::Evaluation perfect = evaluate::evaluate(split, options, 0);
  EXPECT_EQ(perfect.metrics.at("mAP"), 1);
  ASSERT_EQ(perfect.absent.size(), 1U);
  EXPECT_EQ(perfect.absent.at("d_prime"), "auc is 1, where d' is infinite");
}

}  // namespace
}  // namespace xp::train
