#include <cmath>
#include <cstring>
#include <fstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/schema/stage_options.h"
#include "core/train/averaging.h"
#include "core/train/hooks.h"
#include "core/train/id_index.h"
#include "core/train/job.h"
#include "core/train/logits_file.h"
#include "core/train/loss.h"
#include "core/train/optimiser.h"
#include "core/train/schedule.h"
#include "data/hdf5.h"
#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

using xp::testing::TempDir;

TEST(Optimiser, GroupsHeadLayersAndDecay) {
  schema::OptimiserOptions options;
  options.weight_decay = 0.1;
  options.decay_norm_bias = false;
  options.layer_decay = 0.5;
  options.head_lr_factor = 10;
  const auto tensor = [](std::vector<int64_t> shape) { return at::zeros(shape).requires_grad_(); };
  const std::vector<Trained> tensors{{"cls_token", tensor({1, 1, 4}), 0, false},
                                     {"blocks.0.mlp.weight", tensor({4, 4}), 1, false},
                                     {"blocks.0.mlp.bias", tensor({4}), 1, false},
                                     {"head.weight", tensor({2, 4}), 2, true}};
  const std::vector<Group> groups = make_groups(options, tensors, 3);
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(groups[0].name, "layer0, no decay");
  EXPECT_DOUBLE_EQ(groups[0].lr_factor, 0.25);
  EXPECT_DOUBLE_EQ(groups[0].weight_decay, 0);
  EXPECT_EQ(groups[1].name, "layer1");
  EXPECT_DOUBLE_EQ(groups[1].weight_decay, 0.1);
  EXPECT_EQ(groups[3].name, "head");
  EXPECT_DOUBLE_EQ(groups[3].lr_factor, 10);
  EXPECT_EQ(make_groups(schema::OptimiserOptions(), tensors, 3).size(), 1U);
}

TEST(Optimiser, SgdWithMomentumIsItsFormula) {
  schema::OptimiserOptions options;
  options.kind = schema::OptimiserKind::kSgd;
  options.momentum = 0.9;
  options.weight_decay = 0.1;
  const at::Tensor weight = at::ones({2}).requires_grad_();
  const at::Tensor late = at::ones({2}).requires_grad_();
  Optimiser optimiser(options, {{"weight", weight, 0, false}, {"late", late, 0, false}}, 1);
  double w = 1, v = 0, l = 1, u = 0;
  for (int step = 0; step < 4; ++step) {
    weight.mutable_grad() = at::full({2}, 0.5);
    v = (step == 0 ? 0 : 0.9 * v) + 0.5 + 0.1 * w;
    w -= 0.2 * v;
    if (step >= 2) {
      late.mutable_grad() = at::full({2}, 0.25);
      u = (step == 2 ? 0 : 0.9 * u) + 0.25 + 0.1 * l;
      l -= 0.2 * u;
    }
    optimiser.step(0.2);
    optimiser.zero_grad();
    EXPECT_NEAR(weight[0].item<double>(), w, 1e-6);
    EXPECT_NEAR(late[0].item<double>(), l, 1e-6);
  }
}

TEST(Optimiser, ClipsTheJointNorm) {
  const at::Tensor a = at::zeros({1}).requires_grad_();
  const at::Tensor b = at::zeros({1}).requires_grad_();
  Optimiser optimiser({}, {{"a", a, 0, false}, {"b", b, 0, false}}, 1);
  a.mutable_grad() = at::full({1}, 3.0);
  b.mutable_grad() = at::full({1}, 4.0);
  EXPECT_NEAR(optimiser.clip(1), 5, 1e-6);
  EXPECT_NEAR(a.grad().item<double>(), 0.6, 1e-5);
  EXPECT_NEAR(optimiser.clip(10), 1, 1e-5);
}

TEST(Schedule, EpochsCountOnWhereTheirLengthChanges) {
  schema::ScheduleOptions options;
  options.kind = schema::ScheduleKind::kStep;
  options.first_epoch = 2;
  options.factor = 0.5;
  Schedule before(options, 0.01, 3);
  EXPECT_DOUBLE_EQ(before.lr(5), 0.01);
  Schedule after(options, 0.01, 9);
  after.load(before.state());
  after.go_on(2, 6);  // two epochs of three steps are done
  EXPECT_DOUBLE_EQ(after.lr(6), 0.005) << "as after two epochs";
  EXPECT_DOUBLE_EQ(after.lr(6 + 8), 0.005);
  EXPECT_DOUBLE_EQ(after.lr(6 + 9), 0.0025);
  Schedule again(options, 0.01, 9);
  again.load(after.state());
  again.go_on(3, 15);  // a resume in the third epoch's end
  EXPECT_DOUBLE_EQ(again.lr(15), 0.0025);
  EXPECT_DOUBLE_EQ(again.lr(14), 0.005);

  options.kind = schema::ScheduleKind::kCosine;
  options.warmup_epochs = 0;
  options.down_from_epoch = 0;
  options.down_epochs = 4;
  Schedule cosine(options, 0.01, 9);
  cosine.go_on(2, 6);
  EXPECT_DOUBLE_EQ(cosine.lr(6), 0.01 * cosine_factor(2, 0, 0, 4, options.last_factor));
}

TEST(Schedule, TheFallFollowsTheWarmUpAndEndsWithTheTraining) {
  auto options = schema::ScheduleOptions::of_kind(schema::ScheduleKind::kCosine);
  options.warmup_epochs = 3;
  options.down_epochs = 7;
  constexpr int64_t kSteps = 5;
  const Schedule schedule(options, 0.01, kSteps);
  const int64_t top = 3 * kSteps - 1, end = 10 * kSteps - 1;
  for (int64_t step = 1; step <= end; ++step) {
    if (step <= top) {
      EXPECT_GT(schedule.lr(step), schedule.lr(step - 1)) << step;
    } else {
      EXPECT_LT(schedule.lr(step), schedule.lr(step - 1)) << step;
    }
  }
  EXPECT_DOUBLE_EQ(schedule.lr(top), 0.01);
  EXPECT_DOUBLE_EQ(schedule.lr(end), 0.01 * options.last_factor);
  EXPECT_DOUBLE_EQ(schedule.lr(end + kSteps), 0.01 * options.last_factor);

  schema::ScheduleOptions said = options;
  said.down_from_epoch = 3;
  const Schedule explicitly(said, 0.01, kSteps);
  for (int64_t step = 0; step <= end; ++step)
    EXPECT_EQ(schedule.lr(step), explicitly.lr(step)) << step;

  schema::ScheduleOptions overlapping = options;
  overlapping.down_from_epoch = 0;
  EXPECT_LT(Schedule(overlapping, 0.01, kSteps).lr(top), 0.01);
}

TEST(Schedule, TheStaircaseIsAWarmUpToo) {
  auto options = schema::ScheduleOptions::of_kind(schema::ScheduleKind::kCosine);
  options.warmup_steps = 20;
  options.warmup_every_steps = 1;
  options.down_epochs = 6;
  const Schedule schedule(options, 0.01, 5);
  EXPECT_DOUBLE_EQ(schedule.lr(20), 0.01);
  EXPECT_LT(schedule.lr(21), 0.01);
  EXPECT_DOUBLE_EQ(schedule.lr(50), 0.01 * options.last_factor);
  EXPECT_GT(schedule.lr(49), 0.01 * options.last_factor);
}

TEST(LossScale, HalvesAfterAnOverflow) {
  LossScale scale(true);
  const at::Tensor a = at::zeros({1}).requires_grad_();
  const std::vector<Trained> tensors{{"a", a, 0, false}};
  a.mutable_grad() = at::full({1}, 65536.0);
  EXPECT_TRUE(scale.unscale(tensors));
  EXPECT_DOUBLE_EQ(a.grad().item<double>(), 1);
  a.mutable_grad() = at::full({1}, HUGE_VAL);
  EXPECT_FALSE(scale.unscale(tensors));
  EXPECT_DOUBLE_EQ(scale.scale(), 32768);
}

TEST(Averaging, TakesTheWeightsThatItsKindNames) {
  struct Row {
    const char* name;
    schema::AveragingOptions options;
    double want;  // weights are the number of completed epochs
  };
  const auto options = [](schema::AveragingKind kind, int64_t first, int64_t last, int64_t every) {
    schema::AveragingOptions o;
    o.kind = kind;
    o.first_epoch = first;
    o.last_epoch = last;
    o.every_epochs = every;
    return o;
  };
  const Row rows[] = {
      {"epochs 2..4", options(schema::AveragingKind::kEpochs, 2, 4, 1), 3},
      {"epochs 3..end", options(schema::AveragingKind::kEpochs, 3, 0, 1), 4.5},
      {"swa from 2 each 2: after 1, 3, 5", options(schema::AveragingKind::kSwa, 2, 0, 2), 3},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const at::Tensor weight = at::zeros({1});
    Averaging averaging(row.options, {{"weight", weight}}, 6);
    for (int64_t epoch = 0; epoch < 6; ++epoch) {
      averaging.before_epoch(epoch);
      weight.fill_(static_cast<double>(epoch + 1));
      averaging.after_step();
      averaging.after_epoch(epoch + 1);
    }
    averaging.exchange();
    EXPECT_NEAR(weight.item<double>(), row.want, 1e-6);
    averaging.exchange();
    EXPECT_DOUBLE_EQ(weight.item<double>(), 6);
  }
}

/// What is left of the start weights after `steps`: they are 1, and 0 from the first step on.
double start_left(bool ramp, double decay, int steps) {
  schema::AveragingOptions options;
  options.kind = schema::AveragingKind::kEma;
  options.ramp = ramp;
  options.decay = decay;
  const at::Tensor weight = at::ones({1}, at::kDouble);
  Averaging averaging(options, {{"weight", weight}}, 1);
  weight.zero_();
  for (int step = 0; step < steps; ++step) averaging.after_step();
  averaging.exchange();
  return weight.item<double>();
}

TEST(Averaging, TheRampForgetsTheStartWeights) {
  for (const int steps : {1, 5, 40}) {
    EXPECT_NEAR(start_left(false, 0.9999, steps), std::pow(0.9999, steps), 1e-12);
    // The product of (1 + t) / (10 + t) over t = 1 .. steps.
    const double product =
        std::exp(std::lgamma(steps + 2.0) + std::lgamma(11.0) - std::lgamma(steps + 11.0));
    EXPECT_NEAR(start_left(true, 0.9999, steps), product, 1e-9 * product);
  }
  EXPECT_NEAR(start_left(true, 0.1, 7), std::pow(0.1, 7), 1e-12) << "a decay below the ramp";
}

TEST(Loss, LabelSmoothingAndSeveralLabels) {
  const at::Tensor labels = at::tensor({1.0F, 1.0F, 0.0F, 0.0F, 0.3F, 0.7F}).reshape({2, 3});
  EXPECT_TRUE(at::allclose(class_distribution(labels),
                           at::tensor({1.0F, 0.0F, 0.0F, 0.0F, 0.3F, 0.7F}).reshape({2, 3})));
  const at::Tensor z = at::zeros({1, 3});
  const at::Tensor y = at::tensor({1.0F, 0.0F, 0.0F}).reshape({1, 3});
  EXPECT_NEAR(label_loss(schema::Loss::kCe, z, y, {}, 0.3).item<double>(), std::log(3.0), 1e-6);
}

TEST(ScoreFile, ComesBackAsItWas) {
  const TempDir folder;
  ScoreFile file;
  file.ids = {"a", "bb"};
  file.class_ids = {"/m/1", "/m/2", "/m/3"};
  file.class_names = {"x", "y, z", "ü"};
  file.width = 3;
  file.values = {1, 2, 3, 4, 5, 6};
  file.targets = {0, 1, 0, 1, 0, 0};
  file.texts = {{"split", "test"}};
  file.numbers = {{"mAP", 0.25}};
  write_scores(folder / "p.h5", file);
  const ScoreFile back = read_scores(folder / "p.h5");
  EXPECT_EQ(back.ids, file.ids);
  EXPECT_EQ(back.class_names, file.class_names);
  EXPECT_EQ(back.values, file.values);
  EXPECT_EQ(back.targets, file.targets);
  EXPECT_TRUE(back.mask.empty());
  EXPECT_EQ(back.texts, file.texts);
  EXPECT_EQ(back.numbers, file.numbers);
  // Without times in it, the same scores are the same bytes whenever they are written.
  const data::h5::File stored = data::h5::File::open(folder / "p.h5");
  for (const std::string& name : {file.dataset, std::string("targets"), std::string("ids")}) {
    H5O_info_t info{};
    ASSERT_GE(H5Oget_info(stored.open_dataset(name).get(), &info), 0);
    EXPECT_EQ(info.mtime, 0) << name;
  }
}

void write_npy(const std::filesystem::path& file, const std::string& header,
               const std::string& data) {
  std::ofstream out(file, std::ios::binary);
  const auto length = static_cast<uint16_t>(header.size());
  out << "\x93NUMPY" << '\x01' << '\0';
  out.write(reinterpret_cast<const char*>(&length), 2);
  out << header << data;
}

TEST(ReadNpy, TypesAndFaults) {
  const TempDir folder;
  const std::vector<float> values{1.5F, -2, 3, 0.25F, 5, 6};
  const std::string bytes(reinterpret_cast<const char*>(values.data()), 24);
  write_npy(folder / "ok.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
            bytes);
  const Matrix matrix = read_npy(folder / "ok.npy");
  EXPECT_EQ(matrix.rows, 2);
  EXPECT_EQ(matrix.columns, 3);
  EXPECT_EQ(matrix.values, values);
  const uint16_t halves[] = {0x3C00, 0xC000, 0x7BFF, 0x0001};
  write_npy(folder / "half.npy", "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }",
            std::string(reinterpret_cast<const char*>(halves), 8));
  EXPECT_EQ(read_npy(folder / "half.npy").values,
            (std::vector<float>{1, -2, 65504, 5.9604645e-8F}));
  const auto message = [&](const std::string& header, const std::string& data) {
    write_npy(folder / "bad.npy", header, data);
    try {
      read_npy(folder / "bad.npy");
    } catch (const Error& error) {
      return error.message().substr((folder / "bad.npy").string().size() + 2);
    }
    return std::string("accepted");
  };
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }", bytes),
            "it is cut short");
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", bytes),
            "it is in Fortran order");
  EXPECT_EQ(message("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", bytes),
            "its type is <i4, expected <f2, <f4 or <f8");
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", bytes),
            "it is not a matrix");
  EXPECT_EQ(
      message("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000, 4000000000000), }",
              bytes),
      "it is cut short");
}

TEST(ReadIdIndex, PickleAndCsv) {
  const TempDir folder;
  // pickle.dumps({"abc": 0, "d-e": 7}, protocol=2)
  const char pickle[] =
      "\x80\x02}q\x00(X\x03\x00\x00\x00"
      "abcq\x01K\x00X\x03\x00\x00\x00"
      "d-eq\x02K\x07u.";
  std::ofstream(folder / "i.pkl", std::ios::binary).write(pickle, sizeof(pickle) - 1);
  const auto index = read_id_index(folder / "i.pkl");
  EXPECT_EQ(index.size(), 2U);
  EXPECT_EQ(index.at("d-e"), 7);
  std::ofstream(folder / "i.csv") << "id,row\nabc,3\r\n";
  EXPECT_EQ(read_id_index(folder / "i.csv").at("abc"), 3);
  std::ofstream(folder / "bad.csv") << "abc,3\nabd;4\n";
  EXPECT_THROW(read_id_index(folder / "bad.csv"), Error);
}

TEST(IdCandidates, YoutubeNames) {
  const auto names = id_candidates("audio/Y-0abc.wav");
  EXPECT_NE(std::find(names.begin(), names.end(), "-0abc"), names.end());
}

TEST(Job, ComesBackAsItWas) {
  schema::TrainStageOptions options;
  options.seed = 7;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kSynthetic);
  options.dataset.clips = 33;
  options.model.arch = "passt-s";
  options.model.dropout = 0.25;
  options.tome.emplace();
  options.tome->r.is_list = true;
  options.tome->r.list = {3, 2};
  options.kd.emplace();
  options.kd->lambda = 0.3;
  options.optimiser.lr = 1.25e-5;
  options.train.select = "max:val.mAP";
  graph::StageContext context;
  context.name = "train@2";
  context.output = "/out";
  context.inputs.push_back({"data", "/in", "output", "prepare", "key", {}});
  context.resources.devices = {"cpu", "cpu:1"};
  context.depth = graph::Depth::kOverfit;
  const std::string text = job_text(options, context);
  EXPECT_EQ(job_kind(text), "train");
  const schema::TrainStageOptions back = train_job(text);
  EXPECT_EQ(job_text(back, context), text);
  EXPECT_EQ(back.tome->r.list, options.tome->r.list);
  EXPECT_FALSE(back.patchout.has_value());
  graph::StageContext read;
  read_job_context(text, read);
  EXPECT_EQ(job_text(back, read), text);
}

}  // namespace
}  // namespace xp::train
