#include <atomic>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <memory>

#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/load/weights_file.h"
#include "core/schema/stage_options.h"
#include "core/train/run.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;

/// Dies as by kill -9 when it has been told its `points`-th point: the moment depends on the work
/// done, not on how fast the machine is. 0 never dies.
class DeadlySink final : public tracker::RunSink {
 public:
  using RunSink::metric;
  explicit DeadlySink(int points) : left_(points) {}
  tracker::MetricId metric(std::string_view, tracker::Unit, tracker::Grain) override {
    return tracker::MetricId{0};
  }
  void log(tracker::MetricId, int64_t, double) noexcept override {
    if (--left_ == 0) ::raise(SIGKILL);
  }
  void resumed(int64_t, int64_t) override {}
  void artifact(tracker::Kind, const fs::path&, int64_t) override {}
  void event(tracker::Level, std::string_view) noexcept override {}
  void finished(tracker::Outcome, std::string_view) override {}

 private:
  std::atomic<int> left_;
};

class StagesIntegration : public Stages {};

TEST_F(StagesIntegration, TrainsEvaluatesAggregates) {
  tracker::MemorySink sink;
  graph::StageContext train = stage("train", sink);
  run_train(small_training(), train);
  for (const char* file : {"last.safetensors", "best.json", "average.safetensors", "curves.json"})
    EXPECT_TRUE(fs::exists(train.output / file)) << file;
  EXPECT_EQ(sink.points("train.loss").size(), 2U * 5);  // 36 clips in batches of 8
  EXPECT_EQ(sink.points("val.acc").size(), 2U);
  const auto carried = load::read_carried(train.output / "last.safetensors");
  ASSERT_TRUE(carried.has_value());
  EXPECT_EQ(carried->model.arch, "ast-nano");
  EXPECT_EQ(carried->epoch, 2);
  EXPECT_EQ(carried->classes.size(), 3U);

  schema::EvaluateStageOptions options;
  options.dataset = small_set();
  options.frontend = small_frontend();
  options.model = small_training().model;
  options.tome.emplace();
  options.tome->r.value = 1;
  options.eval.metrics = {schema::Metric::k_mAP, schema::Metric::k_acc, schema::Metric::kConfusion,
                          schema::Metric::kPerClass};
  options.eval.bench = true;
  options.eval.bench_batch = 2;
  options.eval.bench_reps = 2;
  tracker::MemorySink scores;
  graph::StageContext eval = stage("eval", scores);
  add(eval, "checkpoint", "train", "last");
  add(eval, "checkpoint", "train", "average");
  evaluate::run_evaluate(options, eval);
  EXPECT_GE(scores.last("acc"), 0);
  EXPECT_LE(scores.last("acc_lo"), scores.last("acc"));
  EXPECT_GT(scores.last("gflop"), 0);
  EXPECT_LT(scores.last("gflop"), scores.last("no_tome/gflop"));
  EXPECT_GT(scores.last("seconds"), 0);
  EXPECT_GE(scores.last("cpu_wait_p"), 0);
  const evaluate::ScoreFile predictions = evaluate::read_scores(eval.output / "predictions.h5");
  double loss = 0;  // softplus(z) - y z
  for (size_t i = 0; i < predictions.values.size(); ++i) {
    const double logit = predictions.values[i];
    loss += std::log1p(std::exp(logit)) - predictions.targets[i] * logit;
  }
  EXPECT_NEAR(scores.last("loss"), loss / static_cast<double>(predictions.values.size()), 1e-6);
  EXPECT_EQ(evaluate::read_metrics(eval.output).count("seconds"), 0U) << "the same each time";
  EXPECT_EQ(predictions.ids.size(), 12U);
  EXPECT_EQ(predictions.values.size(), 36U);
  EXPECT_EQ(predictions.texts.at("model"), "train.last + train.average");

  schema::BaselineStageOptions baseline;
  baseline.dataset = small_set();
  baseline.frontend = small_frontend();
  baseline.eval = options.eval;
  baseline.loss = schema::Loss::kCe;
  graph::StageContext base = stage("baseline", scores);
  evaluate::run_baseline(baseline, base);
  EXPECT_GT(evaluate::read_metrics(base.output).at("acc"), 0.5);

  graph::StageContext all = stage("aggregate", scores);
  add(all, "inputs", "eval", "output");
  add(all, "inputs", "eval", "output");
  schema::AggregateOptions aggregate;
  aggregate.also = "best_mean_epoch";
  evaluate::run_aggregate(aggregate, all);
  EXPECT_EQ(evaluate::read_metrics(all.output).at("acc_std"), 0);
  EXPECT_EQ(evaluate::read_metrics(all.output).count("best_mean_epoch/acc"), 1U);
}

TEST_F(StagesIntegration, DistilsFromATeachersLogits) {
  tracker::MemorySink sink;
  graph::StageContext teacher = stage("teacher", sink);
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 1;
  options.train.loss = schema::Loss::kBce;
  options.train.select = "last";
  run_train(options, teacher);

  schema::TeachStageOptions teach_options;
  teach_options.dataset = small_set();
  teach_options.frontend = small_frontend();
  teach_options.model = options.model;
  graph::StageContext teach = stage("teach", sink);
  add(teach, "checkpoint", "teacher", "last");
  evaluate::run_teach(teach_options, teach);
  EXPECT_EQ(sink.last("rows"), 36);
  const evaluate::ScoreFile logits = evaluate::read_scores(teach.output / "logits.h5");
  EXPECT_EQ(logits.texts.at("teacher_keys"), "key of teacher");
  EXPECT_EQ(logits.numbers.count("mAP"), 1U);

  options.kd.emplace();
  options.kd->enabled = true;
  options.kd->lambda = 0;
  options.augment.spec_mix_alpha = 0.3;
  graph::StageContext student = stage("student", sink);
  add(student, "logits", "teach", "output");
  run_train(options, student);
  EXPECT_FALSE(sink.points("train.loss_kd").empty());
  EXPECT_EQ(sink.points("train.loss").back().value, sink.points("train.loss_kd").back().value);
}

TEST_F(StagesIntegration, ATeacherWithoutAClipIsSaid) {
  evaluate::ScoreFile few;
  few.ids = {"nobody"};
  few.class_ids = {"a", "b", "c"};
  few.class_names = few.class_ids;
  few.width = 3;
  few.values = {0, 0, 0};
  tracker::NullSink null;
  graph::StageContext student = stage("student_without", null);
  fs::create_directories(*folder_ / "few");
  evaluate::write_scores(*folder_ / "few" / "logits.h5", few);
  add(student, "logits", "few", "output");
  schema::TrainStageOptions options = small_training();
  options.kd.emplace();
  try {
    run_train(options, student);
    FAIL() << "trained";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("class 0 of the teacher in"), std::string::npos)
        << error.message();
  }
}

/// kill -9 at a random moment, again and again, until the training gets through.
TEST_F(StagesIntegration, AKilledTrainingEndsWithTheSameBits) {
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 3;
  options.augment.spec_mix_alpha = 0.3;
  options.model.dropout = 0.1;
  options.model.drop_path = 0.1;
  tracker::NullSink null;
  graph::StageContext whole = stage("whole", null);
  run_train(options, whole);
  graph::StageContext killed = stage("killed", null);
  int kills = 0;
  for (int points : {5, 30, 75, 160, 0}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      DeadlySink deadly(points);
      killed.sink = &deadly;
      try {
        run_train(options, killed);
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++kills;
  }
  EXPECT_GE(kills, 2);
  for (const char* file : {"last.safetensors", "best.safetensors", "average.safetensors"})
    EXPECT_EQ(bytes_of_weights(killed.output / file), bytes_of_weights(whole.output / file))
        << file;
}

}  // namespace
}  // namespace xp::train
