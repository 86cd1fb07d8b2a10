#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>

#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/graph/stage.h"
#include "core/schema/stage_options.h"
#include "core/train/evaluation.h"
#include "core/train/logits_file.h"
#include "core/train/run.h"
#include "core/train/weights_file.h"
#include "data/prepare.h"
#include "tests/testing/temp_dir.h"
#include "tracker/run_sink.h"

namespace xp::train {
namespace {

namespace fs = std::filesystem;
using xp::testing::TempDir;

schema::DatasetOptions small_set() {
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kSynthetic);
  dataset.clips = 60;
  dataset.classes = 3;
  dataset.clip_s = 0.6;
  dataset.test_fold = 1;
  dataset.val_fold = 2;
  return dataset;
}

schema::FrontendOptions small_frontend() {
  schema::FrontendOptions frontend;
  frontend.mel_bins = 32;
  frontend.frames = 64;
  return frontend;
}

schema::TrainStageOptions small_training() {
  schema::TrainStageOptions options;
  options.dataset = small_set();
  options.frontend = small_frontend();
  options.augment.wave_mix_p = 0.5;
  options.augment.freq_mask_bins = 4;
  options.augment.time_mask_frames = 8;
  options.model.arch = "ast-nano";
  options.model.depth = 2;
  options.model.dim = 32;
  options.model.heads = 2;
  options.model.fstride = 16;
  options.model.tstride = 16;
  options.train.epochs = 2;
  options.train.batch_size = 8;
  options.train.loss = schema::Loss::kCe;
  options.train.log_every_steps = 1;
  options.train.select = "max:val.acc";
  options.optimiser.lr = 1e-3;
  options.averaging.kind = schema::AveragingKind::kEpochs;
  return options;
}

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

/// The stages of one test, each in a folder of its own.
class StagesIntegration : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    folder_ = std::make_unique<TempDir>();
    tracker::NullSink null;
    graph::StageContext context = stage("prepare", null);
    schema::PrepareOptions options;
    options.dataset = small_set();
    data::run_prepare(options, context);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static graph::StageContext stage(const std::string& name, tracker::RunSink& sink) {
    graph::StageContext context;
    context.name = name;
    context.output = *folder_ / name;
    fs::create_directories(context.output);
    context.sink = &sink;
    context.resources.threads = 1;
    context.resources.devices = {"cpu"};
    if (name != "prepare") add(context, "data", "prepare", "output");
    return context;
  }
  static void add(graph::StageContext& context, const std::string& role, const std::string& from,
                  const std::string& part) {
    graph::StageInput input;
    input.role = role;
    input.path = *folder_ / from;
    input.part = part;
    input.stage = from;
    input.key = "key of " + from;
    context.inputs.push_back(input);
  }
  static std::string bytes_of_weights(const fs::path& file) {
    std::string all;
    const checkpoint::Archive archive = checkpoint::Archive::open(file);
    for (const auto& entry : archive.entries())
      all += entry.name +
             std::string(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
    return all;
  }

  static inline std::unique_ptr<TempDir> folder_;
};

TEST_F(StagesIntegration, TrainsEvaluatesAggregates) {
  tracker::MemorySink sink;
  graph::StageContext train = stage("train", sink);
  run_train(small_training(), train);
  for (const char* file : {"last.safetensors", "best.json", "average.safetensors", "curves.json"})
    EXPECT_TRUE(fs::exists(train.output / file)) << file;
  EXPECT_EQ(sink.points("train.loss").size(), 2U * 5);  // 36 clips in batches of 8
  EXPECT_EQ(sink.points("val.acc").size(), 2U);
  const auto carried = read_carried(train.output / "last.safetensors");
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
  options.eval.metrics = {schema::Metric::kMap, schema::Metric::kAcc, schema::Metric::kConfusion,
                          schema::Metric::kPerClass};
  options.eval.bench = true;
  options.eval.bench_batch = 2;
  options.eval.bench_reps = 2;
  tracker::MemorySink scores;
  graph::StageContext eval = stage("eval", scores);
  add(eval, "checkpoint", "train", "last");
  add(eval, "checkpoint", "train", "average");
  run_evaluate(options, eval);
  EXPECT_GE(scores.last("acc"), 0);
  EXPECT_LE(scores.last("acc_lo"), scores.last("acc"));
  EXPECT_GT(scores.last("gflop"), 0);
  EXPECT_LT(scores.last("gflop"), scores.last("no_tome/gflop"));
  const ScoreFile predictions = read_scores(eval.output / "predictions.h5");
  EXPECT_EQ(predictions.ids.size(), 12U);
  EXPECT_EQ(predictions.values.size(), 36U);
  EXPECT_EQ(predictions.texts.at("model"), "train.last + train.average");

  schema::BaselineStageOptions baseline;
  baseline.dataset = small_set();
  baseline.frontend = small_frontend();
  baseline.eval = options.eval;
  baseline.loss = schema::Loss::kCe;
  graph::StageContext base = stage("baseline", scores);
  run_baseline(baseline, base);
  EXPECT_GT(read_metrics(base.output).at("acc"), 0.5);

  graph::StageContext all = stage("aggregate", scores);
  add(all, "inputs", "eval", "output");
  add(all, "inputs", "eval", "output");
  schema::AggregateOptions aggregate;
  aggregate.also = "best_mean_epoch";
  run_aggregate(aggregate, all);
  EXPECT_EQ(read_metrics(all.output).at("acc_std"), 0);
  EXPECT_EQ(read_metrics(all.output).count("best_mean_epoch/acc"), 1U);
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
  run_teach(teach_options, teach);
  EXPECT_EQ(sink.last("rows"), 36);
  const ScoreFile logits = read_scores(teach.output / "logits.h5");
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
  ScoreFile few;
  few.ids = {"nobody"};
  few.class_ids = {"a", "b", "c"};
  few.class_names = few.class_ids;
  few.width = 3;
  few.values = {0, 0, 0};
  tracker::NullSink null;
  graph::StageContext student = stage("student_without", null);
  fs::create_directories(*folder_ / "few");
  write_scores(*folder_ / "few" / "logits.h5", few);
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
