// Whole trainings in their modes: what a recipe's [train] section can ask for.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <tuple>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/load/archive_io.h"
#include "core/load/weights_file.h"
#include "core/train/replay.h"
#include "core/train/run.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;

class ModesIntegration : public Stages {
 protected:
  /// Trains into a folder of its own and tells what was said.
  static graph::StageContext trained(const std::string& name,
                                     const schema::TrainStageOptions& options,
                                     tracker::RunSink& sink,
                                     std::vector<std::string>* said = nullptr) {
    graph::StageContext context = stage(name, sink);
    if (said != nullptr) context.say = [said](std::string_view line) { said->emplace_back(line); };
    run_train(options, context);
    return context;
  }
  static std::string last(const graph::StageContext& context) {
    return bytes_of_weights(context.output / "last.safetensors");
  }
};

TEST_F(ModesIntegration, ActivationCheckpointingAndWorkersChangeNoBit) {
  schema::TrainStageOptions options = small_training();
  options.model.dropout = 0.1;
  options.model.drop_path = 0.2;
  options.patchout.emplace();
  options.patchout->t = 1;
  options.tome.emplace();
  options.tome->r.value = 1;
  tracker::NullSink null;
  const std::string plain = last(trained("plain", options, null));
  options.train.activation_checkpointing = true;
  options.train.workers = 3;
  EXPECT_EQ(last(trained("recomputed", options, null)), plain);
}

// In bf16 casts of weights are cached: those of one step must not serve the next. A pass without
// gradients may round otherwise than one with them, so the bits differ.
TEST_F(ModesIntegration, ActivationCheckpointingSeesEachStepsWeightsInBf16) {
  schema::TrainStageOptions options = small_training();
  options.train.precision = schema::Precision::kBf16;
  options.train.log_every_steps = 1;
  options.optimiser.lr = 0.05;
  tracker::MemorySink plain, recomputed, still;
  trained("plain_bf16", options, plain);
  options.train.activation_checkpointing = true;
  trained("recomputed_bf16", options, recomputed);
  options.optimiser.lr = 1e-9;  // as weights of the first step would do in all others
  trained("still_bf16", options, still);
  const auto want = plain.points("train.loss");
  const auto got = recomputed.points("train.loss");
  const auto stale = still.points("train.loss");
  ASSERT_EQ(got.size(), want.size());
  double moved = 0;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(got[i].value, want[i].value, 0.06 * want[i].value) << "step " << i;
    moved = std::max(moved, std::abs(stale[i].value - want[i].value) / want[i].value);
  }
  EXPECT_GT(moved, 0.3) << "too little to tell stale weights by";
}

TEST_F(ModesIntegration, HalfPrecisionsLearn) {
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 6;
  options.optimiser.lr = 3e-3;
  for (const auto precision :
       {schema::Precision::kFp32, schema::Precision::kBf16, schema::Precision::kFp16}) {
    const std::string name(recipe::enum_name(precision));
    SCOPED_TRACE(name);
    options.train.precision = precision;
    tracker::MemorySink sink;
    const graph::StageContext context = trained("precision_" + name, options, sink);
    const auto points = sink.points("train.loss");
    ASSERT_GE(points.size(), 20U);
    double first = 0, last_third = 0;
    for (size_t i = 0; i < points.size() / 3; ++i) {
      first += points[i].value;
      last_third += points[points.size() - 1 - i].value;
    }
    EXPECT_LT(last_third, first);
    // Weights, and so checkpoints, stay float32 whatever the products are computed in.
    const auto archive = checkpoint::Archive::open(context.output / "last.safetensors");
    for (const auto& entry : archive.entries())
      EXPECT_EQ(load::to_tensor(entry).scalar_type(), at::kFloat);
    // The same again is the same bits: no precision brings a draw of its own.
    tracker::NullSink null;
    EXPECT_EQ(last(trained("again_" + name, options, null)), last(context));
  }
}

TEST_F(ModesIntegration, KeepsWhatItIsAskedTo) {
  schema::TrainStageOptions options = small_training();
  options.averaging.kind = schema::AveragingKind::kNone;
  options.train.keep = {"best", "epochs"};
  tracker::NullSink null;
  const graph::StageContext context = trained("kept", options, null);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(context.output))
    files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (std::vector<std::string>{
                       "best.json", "best.safetensors", "curves.json", "epoch-0001.json",
                       "epoch-0001.safetensors", "epoch-0002.json", "epoch-0002.safetensors",
                       "state-000000010.json", "state-000000010.safetensors"}));
}

TEST_F(ModesIntegration, StopsEarlyWithoutABetterEpoch) {
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 20;
  options.train.early_stop_epochs = 2;
  options.train.select = "min:val.loss";
  options.optimiser.lr = 1e-30;  // nothing gets better
  options.averaging.kind = schema::AveragingKind::kNone;
  tracker::MemorySink sink;
  std::vector<std::string> said;
  trained("early", options, sink, &said);
  EXPECT_EQ(sink.points("val.loss").size(), 3U);
  EXPECT_EQ(said.back(), "epoch 3: no better min:val.loss since epoch 1; training ends");
}

TEST_F(ModesIntegration, AStateOfOtherClassesIsNotTrainedOn) {
  schema::TrainStageOptions options = small_training();
  options.averaging.kind = schema::AveragingKind::kNone;
  options.train.epochs = 1;
  tracker::NullSink null;
  const fs::path weights = trained("other_order", options, null).output / "last.safetensors";
  load::Carried carried = *load::read_carried(weights);
  std::swap(carried.classes[0], carried.classes[1]);
  checkpoint::Archive archive = checkpoint::Archive::open(weights);
  archive.set_metadata("exp.carried", load::carried_text(carried));
  archive.write_safetensors(weights);
  options.train.epochs = 2;
  options.train.start_from = "other_order";
  graph::StageContext more = stage("other_order_more", null);
  add(more, "start_from", "other_order", "last");
  try {
    run_train(options, more);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    EXPECT_TRUE(error.message().starts_with("class 0 of train.start_from: ")) << error.message();
  }
}

TEST_F(ModesIntegration, TrainsOnFromAFinishedTraining) {
  schema::TrainStageOptions options = small_training();
  options.averaging.kind = schema::AveragingKind::kNone;
  options.train.epochs = 4;
  tracker::NullSink null;
  const std::string whole = last(trained("four", options, null));
  options.train.epochs = 2;
  trained("two", options, null);
  options.train.epochs = 4;
  options.train.start_from = "two";
  std::vector<std::string> said;
  graph::StageContext more = stage("two_more", null);
  more.say = [&said](std::string_view line) { said.emplace_back(line); };
  add(more, "start_from", "two", "last");
  run_train(options, more);
  EXPECT_EQ(said.front(), "trains on from epoch 2 (step 10)");
  EXPECT_EQ(last(more), whole);
  options.train.epochs = 2;
  graph::StageContext none = stage("none_more", null);
  add(none, "start_from", "two", "last");
  try {
    run_train(options, none);
    FAIL() << "trained";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "train.start_from: that training has 2 epochs already; train.epochs = 2 has to be "
              "more");
  }
}

TEST_F(ModesIntegration, ChecksOneStepAndSaysShapes) {
  schema::TrainStageOptions options = small_training();
  options.tome.emplace();
  options.tome->r.value = 3;
  tracker::MemorySink sink;
  graph::StageContext context = stage("check", sink);
  context.depth = graph::Depth::kCheck;
  std::vector<std::string> said;
  context.say = [&said](std::string_view line) { said.emplace_back(line); };
  run_train(options, context);
  EXPECT_EQ(sink.points("train.loss").size(), 1U);
  ASSERT_EQ(said.size(), 3U);
  EXPECT_EQ(said[0], "ast-nano: input 32 mel bins x 64 frames, 3 classes, 0.03 M parameters");
  EXPECT_EQ(said[1], "patches 2 x 4 = 8, 10 tokens");
  EXPECT_EQ(said[2], "tokens after each block: 7 5*   (* fewer taken than asked)");
}

TEST_F(ModesIntegration, OverfitsAFewClips) {
  schema::TrainStageOptions options = small_training();
  options.augment = {};
  options.train.epochs = 60;
  options.averaging.kind = schema::AveragingKind::kNone;
  tracker::MemorySink sink;
  graph::StageContext context = stage("overfit", sink);
  context.depth = graph::Depth::kOverfit;
  context.overfit_clips = 6;
  run_train(options, context);
  EXPECT_EQ(sink.points("train.loss").size(), 60U);  // one batch an epoch
  EXPECT_EQ(sink.last("final.acc"), 1);
  EXPECT_LT(sink.points("train.loss").back().value, 0.2);
}

TEST_F(ModesIntegration, ValidationScoresTheWeightsThatAreSaved) {
  for (const auto& [family, arch] : {std::pair{schema::Family::k_ast, "ast-nano"},
                                     {schema::Family::k_mn, "mn01"},
                                     {schema::Family::k_dymn, "dymn04"}}) {
    SCOPED_TRACE(arch);
    schema::TrainStageOptions options = small_training();
    options.model = schema::ModelOptions::of_kind(family);
    options.model.arch = arch;
    options.train.epochs = 10;  // the running statistics take some steps
    options.optimiser.lr = 1e-2;
    options.averaging = {};  // its swaps of weights would hide a stale copy
    tracker::MemorySink curves;
    trained(arch, options, curves);

    tracker::MemorySink scores;
    graph::StageContext context = stage(std::string(arch) + "_val", scores);
    add(context, "checkpoint", arch, "last");
    evaluate::run_evaluate(validation_of(options), context);
    EXPECT_NEAR(curves.last("val.loss"), scores.last("loss"), 1e-5);
    EXPECT_NE(curves.points("val.loss").front().value, curves.last("val.loss"));
  }
}

TEST_F(ModesIntegration, AveragesWithBatchNormReestimated) {
  schema::TrainStageOptions options = small_training();
  options.model = schema::ModelOptions::of_kind(schema::Family::k_mn);
  options.model.arch = "mn01";
  tracker::NullSink null;
  for (const auto kind :
       {schema::AveragingKind::kEpochs, schema::AveragingKind::kSwa, schema::AveragingKind::kEma}) {
    const std::string name(recipe::enum_name(kind));
    SCOPED_TRACE(name);
    options.averaging.kind = kind;
    options.averaging.first_epoch = 1;
    options.averaging.decay = 0.8;
    const graph::StageContext context = trained("cnn_" + name, options, null);
    const auto average = checkpoint::Archive::open(context.output / "average.safetensors");
    const auto end = checkpoint::Archive::open(context.output / "last.safetensors");
    int64_t statistics = 0;
    for (const auto& entry : average.entries()) {
      const at::Tensor values = load::to_tensor(entry);
      EXPECT_TRUE(values.to(at::kFloat).isfinite().all().item<bool>()) << entry.name;
      if (!entry.name.ends_with("running_var")) continue;
      ++statistics;
      EXPECT_GE(values.min().item<double>(), 0) << entry.name;
      EXPECT_FALSE(at::equal(values, load::to_tensor(*end.find(entry.name)))) << entry.name;
    }
    EXPECT_GT(statistics, 10);
  }
}

TEST_F(ModesIntegration, LeavesATraceForChrome) {
  schema::TrainStageOptions options = small_training();
  options.averaging.kind = schema::AveragingKind::kNone;
  tracker::NullSink null;
  graph::StageContext context = stage("traced", null);
  context.trace = *folder_ / "trace.json";
  std::vector<std::string> said;
  context.say = [&said](std::string_view line) { said.emplace_back(line); };
  run_train(options, context);
  EXPECT_EQ(said, std::vector<std::string>{"trace of 3 steps: " + context.trace.string() +
                                           " (open it in chrome://tracing)"});
  const auto trace = nlohmann::json::parse(read_file(context.trace));
  int64_t products = 0;
  for (const auto& event : trace.at("traceEvents"))
    products += event.value("name", "") == "aten::addmm";
  EXPECT_GT(products, 0);
}

TEST_F(ModesIntegration, ALossThatIsNoNumberIsKeptAndReplayed) {
  schema::TrainStageOptions options = small_training();
  options.optimiser.lr = std::numeric_limits<float>::max();
  options.tome.emplace();
  options.tome->r.value = 1;
  tracker::NullSink null;
  graph::StageContext context = stage("nan", null);
  std::string message;
  try {
    run_train(options, context);
  } catch (const Error& error) {
    message = error.message();
    EXPECT_EQ(error.code(), Exit::kFailed);
  }
  const size_t at = message.find("exp evaluate --replay ");
  ASSERT_NE(at, std::string::npos) << message;
  EXPECT_NE(message.find("(epoch 1) is nan; lr"), std::string::npos) << message;
  const std::vector<std::string> lines = replay(message.substr(at + 22));
  EXPECT_TRUE(lines.front().ends_with(", epoch 1: the loss was nan")) << lines.front();
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return line.ends_with("<- not finite"); }),
            8);
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line == "loss of the batch, computed again in fp32: nan";
  }));
  EXPECT_THROW(replay(*folder_ / "prepare" / "index.json"), Error);
}

TEST_F(ModesIntegration, PretrainsThenFinetunes) {
  for (const char* shape : {"patch", "frame"}) {
    SCOPED_TRACE(shape);
    const std::string name = shape;
    schema::PretrainStageOptions options;
    options.dataset = small_set();
    options.frontend = small_frontend();
    options.frontend.mel_bins = 128;
    options.model = schema::ModelOptions::of_kind(schema::Family::k_ssast);
    options.model.arch = "ssast-tiny-" + name;
    options.model.dim = 24;
    options.model.depth = 2;
    options.model.heads = 2;
    options.model.fstride = name == "patch" ? 16 : 128;
    options.model.tstride = name == "patch" ? 16 : 2;
    options.pretrain.masked = 8;
    options.pretrain.cluster_min = name == "patch" ? 2 : 0;
    options.pretrain.cluster_max = name == "patch" ? 3 : 0;
    options.train.epochs = 2;
    options.train.batch_size = 8;
    options.train.log_every_steps = 1;
    options.optimiser.lr = 1e-3;
    tracker::MemorySink sink;
    graph::StageContext context = stage("pretrain_" + name, sink);
    run_pretrain(options, context);
    EXPECT_EQ(sink.points("train.loss_nce").size(), 10U);
    EXPECT_EQ(sink.points("train.loss_mse").size(), 10U);
    EXPECT_TRUE(std::isfinite(sink.last("train.loss_mse")));

    schema::TrainStageOptions finetune = small_training();
    finetune.frontend = options.frontend;
    finetune.model = options.model;
    finetune.train.epochs = 1;
    std::vector<std::string> said;
    graph::StageContext next = stage("finetune_" + name, sink);
    next.say = [&said](std::string_view line) { said.emplace_back(line); };
    add(next, "weights", "pretrain_" + name, "last");
    run_train(finetune, next);
    ASSERT_FALSE(said.empty());
    EXPECT_TRUE(said.front().starts_with("starts from pretrain_" + name + ".last: "))
        << said.front();
    EXPECT_EQ(load::read_carried(next.output / "last.safetensors")->classes.size(), 3U);
  }
}

TEST_F(ModesIntegration, FoldsHaveAMeanAndAstsOwnChoiceBeside) {
  tracker::MemorySink sink;
  graph::StageContext all = stage("folds", sink);
  const double accuracies[] = {0.5, 0.7, 0.9};
  const std::vector<std::vector<double>> curves = {{0.6, 0.5}, {0.8, 0.7}, {0.4, 0.9}};
  for (size_t fold = 0; fold < 3; ++fold) {
    const std::string name = "fold" + std::to_string(fold);
    fs::create_directories(*folder_ / name);
    evaluate::Evaluation evaluation;
    evaluation.metrics["acc"] = accuracies[fold];
    evaluate::write_metrics(*folder_ / name, evaluation);
    std::ofstream(*folder_ / name / "curves.json") << nlohmann::json{{"acc", curves[fold]}};
    add(all, "inputs", name, "output");
  }
  schema::AggregateOptions options;
  options.also = "best_mean_epoch";
  std::vector<std::string> said;
  all.say = [&said](std::string_view line) { said.emplace_back(line); };
  evaluate::run_aggregate(options, all);
  const auto metrics = evaluate::read_metrics(all.output);
  EXPECT_NEAR(metrics.at("acc"), 0.7, 1e-12);
  EXPECT_NEAR(metrics.at("acc_std"), 0.2, 1e-12);
  EXPECT_NEAR(metrics.at("best_mean_epoch/acc"), 0.7, 1e-12);
  EXPECT_EQ(metrics.at("best_mean_epoch/acc_epoch"), 2);
  EXPECT_EQ(said.front(),
            "chosen on the test folds, as AST reports it, never the result: best mean epoch acc "
            "0.7000 at epoch 2; ");
}

TEST_F(ModesIntegration, FoldsAreComparedInPairs) {
  tracker::MemorySink sink;
  graph::StageContext all = stage("compared", sink);
  const double ours[] = {0.80, 0.90, 0.85}, theirs[] = {0.75, 0.80, 0.85};
  for (size_t fold = 0; fold < 3; ++fold) {
    for (const auto& [role, values] : {std::pair{"inputs", ours}, std::pair{"against", theirs}}) {
      const std::string name = role + std::to_string(fold);
      fs::create_directories(*folder_ / name);
      evaluate::Evaluation evaluation;
      evaluation.metrics["acc"] = values[fold];
      evaluate::write_metrics(*folder_ / name, evaluation);
      add(all, role, name, "output");
    }
  }
  evaluate::run_aggregate({}, all);
  const auto metrics = evaluate::read_metrics(all.output);
  EXPECT_NEAR(metrics.at("acc_difference"), 0.05, 1e-12);
  // 0.05 -+ 4.3026527 * 0.05 / sqrt(3)
  EXPECT_NEAR(metrics.at("acc_difference_lo"), -0.0742069, 1e-6);
  EXPECT_NEAR(metrics.at("acc_difference_hi"), 0.1742069, 1e-6);
  // 0.85 -+ 4.3026527 * 0.05 / sqrt(3), and no difference of a deviation or a bound
  EXPECT_NEAR(metrics.at("acc_lo"), 0.7257931, 1e-6);
  EXPECT_EQ(metrics.size(), 7U);
  const std::string table = read_file(all.output / "inputs.csv");
  EXPECT_NE(table.find("against2,acc,0.85\n"), std::string::npos) << table;
}

TEST_F(ModesIntegration, OneEvaluationIsComparedClipByClip) {
  tracker::MemorySink sink;
  graph::StageContext all = stage("compared", sink);
  std::vector<std::string> said;
  all.say = [&said](std::string_view line) { said.emplace_back(line); };
  for (const auto& [role, acc, wrong] :
       {std::tuple{"inputs", 0.75, 2.0F}, std::tuple{"against", 0.5, -2.0F}}) {
    fs::create_directories(*folder_ / role);
    evaluate::Evaluation evaluation;
    evaluation.metrics["acc"] = acc;
    evaluate::write_metrics(*folder_ / role, evaluation);
    evaluate::ScoreFile scores;
    scores.ids = {"a", "b", "c", "d"};
    scores.class_ids = scores.class_names = {"cat", "dog"};
    scores.width = 2;
    scores.values = {1, -1, -1, 1, wrong, 0, 1, -1};
    scores.targets = {1, 0, 0, 1, 1, 0, 0, 1};
    evaluate::write_scores(*folder_ / role / "predictions.h5", scores);
    add(all, role, role, "output");
  }
  evaluate::run_aggregate({}, all);
  const auto metrics = evaluate::read_metrics(all.output);
  EXPECT_EQ(metrics.at("acc_difference"), 0.25);
  EXPECT_EQ(metrics.at("acc_difference_lo"), 0) << "some resamples lack the clip that differs";
  EXPECT_EQ(metrics.at("acc_difference_hi"), 0.75);
  EXPECT_EQ(metrics.at("acc_difference_p"), 1) << "one clip is no evidence";
  EXPECT_EQ(metrics.count("mAP_difference_lo"), 0U) << "the evaluations did not compute it";
  EXPECT_TRUE(said.empty()) << said.front();

  fs::remove(*folder_ / "against" / "predictions.h5");
  graph::StageContext bare = stage("bare", sink);
  bare.say = all.say;
  add(bare, "inputs", "inputs", "output");
  add(bare, "against", "against", "output");
  evaluate::run_aggregate({}, bare);
  EXPECT_EQ(evaluate::read_metrics(bare.output).count("acc_difference_lo"), 0U);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said.front(),
            "the difference of inputs and against has no interval: eval.save_predictions is off");
}

}  // namespace
}  // namespace xp::train
