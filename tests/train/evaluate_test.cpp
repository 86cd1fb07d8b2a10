// Evaluations that share a pass, the clips that go most wrong, and what both leave behind.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <span>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/evaluate/worst.h"
#include "core/train/run.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;

class EvaluateIntegration : public Stages {
 protected:
  static void SetUpTestSuite() {
    Stages::SetUpTestSuite();
    tracker::NullSink null;
    graph::StageContext train = stage("train", null);
    schema::TrainStageOptions options = small_training();
    options.train.epochs = 1;
    run_train(options, train);
  }

  /// Scores of the test split with r tokens merged in each block; 0 = without [tome].
  static schema::EvaluateStageOptions scoring(int64_t r) {
    schema::EvaluateStageOptions options;
    options.dataset = small_set();
    options.frontend = small_frontend();
    options.model = small_training().model;
    options.eval.metrics = {schema::Metric::k_mAP, schema::Metric::k_acc,
                            schema::Metric::kPerClass};
    options.eval.batch_size = 5;
    if (r == 0) return options;
    options.tome.emplace();
    options.tome->r.value = r;
    return options;
  }

  static graph::StageContext evaluation(const std::string& name, tracker::RunSink& sink) {
    graph::StageContext context = stage(name, sink);
    add(context, "checkpoint", "train", "last");
    add(context, "checkpoint", "train", "average");
    return context;
  }
};

TEST_F(EvaluateIntegration, AHopBeyondTheWindowIsOneWindow) {
  const auto scores = [](double hop_s) {
    schema::EvaluateStageOptions options = scoring(0);
    options.eval.window_s = 0.3;
    options.eval.window_hop_s = hop_s;
    tracker::MemorySink sink;
    graph::StageContext context = evaluation(hop_s > 1 ? "beyond" : "window", sink);
    evaluate::run_evaluate(options, context);
    return evaluate::read_metrics(context.output);
  };
  EXPECT_EQ(scores(25), scores(0.3));
}

TEST_F(EvaluateIntegration, AModelWithoutTokensMergesNothingAndSaysSo) {
  schema::TrainStageOptions training = small_training();
  training.model = schema::ModelOptions::of_kind(schema::Family::k_pool);
  training.model.arch = "pool";
  training.train.epochs = 1;
  tracker::MemorySink sink;
  graph::StageContext train = stage("train_pool", sink);
  run_train(training, train);
  std::map<std::string, double> metrics[2];
  std::string said[2];
  for (const int64_t r : {0, 3}) {
    const size_t i = r > 0 ? 1 : 0;
    schema::EvaluateStageOptions options = scoring(r);
    options.model = training.model;
    graph::StageContext context = stage(r > 0 ? "pool_merged" : "pool_plain", sink);
    add(context, "checkpoint", "train_pool", "last");
    context.say = [&said, i](std::string_view line) { said[i] += line; };
    evaluate::run_evaluate(options, context);
    metrics[i] = evaluate::read_metrics(context.output);
  }
  EXPECT_EQ(metrics[1], metrics[0]);
  EXPECT_EQ(said[0].find("merges nothing"), std::string::npos) << said[0];
  EXPECT_NE(said[1].find("[tome] reduces nothing: train_pool.last has no tokens"),
            std::string::npos)
      << said[1];
}

TEST_F(EvaluateIntegration, ScoresAreComputedInItsPrecision) {
  const auto scores = [](schema::Precision precision) {
    schema::EvaluateStageOptions options = scoring(0);
    options.eval.precision = precision;
    tracker::MemorySink sink;
    graph::StageContext context =
        evaluation("precision " + std::string(recipe::enum_name(precision)), sink);
    evaluate::run_evaluate(options, context);
    return evaluate::read_scores(context.output / "predictions.h5").values;
  };
  const std::vector<float> fp32 = scores(schema::Precision::kFp32);
  const std::vector<float> bf16 = scores(schema::Precision::kBf16);
  ASSERT_EQ(bf16.size(), fp32.size());
  double apart = 0, largest = 0;
  for (size_t i = 0; i < fp32.size(); ++i) {
    apart = std::max(apart, static_cast<double>(std::abs(bf16[i] - fp32[i])));
    largest = std::max(largest, static_cast<double>(std::abs(fp32[i])));
  }
  EXPECT_GT(apart, 0) << "it was fp32";
  EXPECT_LT(apart, 0.05 * largest);
}

TEST_F(EvaluateIntegration, PassesOfTwoPrecisionsAreTwo) {
  std::vector<schema::EvaluateStageOptions> both{scoring(0), scoring(0)};
  both[1].eval.precision = schema::Precision::kBf16;
  tracker::MemorySink sink;
  graph::StageContext first = evaluation("fp32 beside", sink);
  graph::StageContext second = evaluation("bf16 beside", sink);
  const std::vector<const schema::EvaluateStageOptions*> options{&both[0], &both[1]};
  const std::vector<graph::StageContext*> contexts{&first, &second};
  evaluate::run_evaluate_many(options, contexts);
  const auto scores = [](const graph::StageContext& context) {
    return evaluate::read_scores(context.output / "predictions.h5").values;
  };
  EXPECT_NE(scores(first), scores(second));
}

TEST_F(EvaluateIntegration, ManyTogetherHaveTheBitsOfEachAlone) {
  std::vector<schema::EvaluateStageOptions> all;
  for (const int64_t r : {0, 1, 3, 100}) all.push_back(scoring(r));
  all[1].eval.bootstrap = 20;  // computed from the same scores
  all.push_back(scoring(1));
  all.back().eval.split = schema::Split::kVal;  // other clips: a pass of its own
  all.push_back(scoring(1));
  all.back().eval.window_s = 0.3;  // as well
  all.push_back(scoring(3));
  all.back().eval.window_s = 0.3;  // shares that
  tracker::NullSink null;
  std::vector<std::string> said;
  std::vector<graph::StageContext> together;
  for (size_t i = 0; i < all.size(); ++i) {
    together.push_back(evaluation("together" + std::to_string(i), null));
    together.back().say = [&said](std::string_view line) { said.emplace_back(line); };
  }
  std::vector<const schema::EvaluateStageOptions*> options;
  std::vector<graph::StageContext*> contexts;
  for (size_t i = 0; i < all.size(); ++i) {
    options.push_back(&all[i]);
    contexts.push_back(&together[i]);
  }
  evaluate::run_evaluate_many(options, contexts);
  EXPECT_EQ(said, (std::vector<std::string>{
                      "4 evaluations of train.last + train.average in one pass over 12 clips",
                      "2 evaluations of train.last + train.average in one pass over 12 clips"}));
  std::vector<std::vector<float>> scores;
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    graph::StageContext alone = evaluation("alone" + std::to_string(i), null);
    evaluate::run_evaluate(all[i], alone);
    for (const char* file : {"metrics.json", "per_class.csv", "worst.json", "curves.json"})
      EXPECT_EQ(read_file(alone.output / file), read_file(together[i].output / file)) << file;
    const evaluate::ScoreFile a = evaluate::read_scores(alone.output / "predictions.h5");
    const evaluate::ScoreFile b = evaluate::read_scores(together[i].output / "predictions.h5");
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_EQ(a.values, b.values);
    EXPECT_EQ(a.targets, b.targets);
    scores.push_back(b.values);
  }
  EXPECT_NE(scores[0], scores[1]) << "merging does something";
  EXPECT_NE(scores[1], scores[2]);
  EXPECT_NE(scores[1], scores[5]) << "windows do something";
}

TEST_F(EvaluateIntegration, AStopEndsThePass) {
  tracker::NullSink null;
  graph::StageContext first = evaluation("stopped0", null);
  graph::StageContext second = evaluation("stopped1", null);
  first.stop_requested = [] { return StopReason::kPreempted; };
  const schema::EvaluateStageOptions a = scoring(1);
  const schema::EvaluateStageOptions b = scoring(2);
  const std::vector<const schema::EvaluateStageOptions*> options{&a, &b};
  const std::vector<graph::StageContext*> contexts{&first, &second};
  EXPECT_THROW(evaluate::run_evaluate_many(options, contexts), Stopped);
  EXPECT_TRUE(fs::is_empty(first.output));
}

TEST(WorstClips, OneLabelAndSeveral) {
  evaluate::ScoredSplit split;
  split.ids = {"right", "wrong", "unsure"};
  split.classes = {{"a", "dog"}, {"b", "cat"}};
  split.logits = {4, -4, 3, -3, 0, 0};
  split.targets = {1, 0, 0, 1, 1, 0};
  const std::vector<evaluate::WrongClip> one = evaluate::worst_clips(split, 2);
  ASSERT_EQ(one.size(), 2U);
  EXPECT_EQ(one[0].id, "wrong");
  EXPECT_NEAR(one[0].loss, 6.002476, 1e-6);  // log(1 + e^6)
  EXPECT_EQ(one[0].labels, std::vector<std::string>{"cat"});
  EXPECT_EQ(one[0].guesses[0].name, "dog");
  EXPECT_NEAR(one[0].guesses[0].probability, 0.997527, 1e-6);
  EXPECT_EQ(one[1].id, "unsure");
  EXPECT_NEAR(one[1].loss, 0.693147, 1e-6);

  split.targets = {1, 1, 0, 1, 1, 0};  // a clip with two labels: sigmoids
  const std::vector<evaluate::WrongClip> several = evaluate::worst_clips(split, 9);
  ASSERT_EQ(several.size(), 3U);
  EXPECT_EQ(several[0].id, "wrong");
  EXPECT_NEAR(several[0].loss, 3.048587, 1e-6);  // mean of log(1 + e^3) twice
  EXPECT_EQ(several[1].labels, (std::vector<std::string>{"dog", "cat"}));
  EXPECT_NEAR(several[1].guesses[0].probability, 0.982014, 1e-6);

  split.mask = {1, 0, 1, 1, 1, 1};  // the second class of the first clip is not known
  EXPECT_NEAR(evaluate::worst_clips(split, 9).back().loss, 0.018150, 1e-6);
  EXPECT_EQ(evaluate::worst_clips(split, 9).back().id, "right");
}

}  // namespace
}  // namespace xp::train
