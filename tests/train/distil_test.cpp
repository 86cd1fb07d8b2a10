// Labels and teachers: what a clip's target is made of.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/evaluate/loss.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/load/id_index.h"
#include "core/train/replay.h"
#include "core/train/run.h"
#include "core/train/teacher.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

at::Tensor row(std::vector<float> values) {
  return at::tensor(values).reshape({1, static_cast<int64_t>(values.size())});
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
double bce(double z, double y) { return std::log1p(std::exp(z)) - y * z; }

TEST(LabelLoss, SmoothingOfMixedLabels) {
  const at::Tensor z = row({1, -2, 0.5});
  const at::Tensor y = row({0.3F, 0.7F, 0});
  // Binary: towards one half; cross entropy: towards 1 / K; both of the mixed label as it is.
  double want = 0;
  for (int64_t k = 0; k < 3; ++k)
    want += bce(z[0][k].item<double>(), 0.9 * y[0][k].item<double>() + 0.05) / 3;
  EXPECT_NEAR(evaluate::label_loss(schema::Loss::kBce, z, y, {}, 0.1).item<double>(), want, 1e-6);
  const at::Tensor log_p = at::log_softmax(z, -1);
  want = 0;
  for (int64_t k = 0; k < 3; ++k)
    want -= (0.9 * y[0][k].item<double>() + 0.1 / 3) * log_p[0][k].item<double>();
  EXPECT_NEAR(evaluate::label_loss(schema::Loss::kCe, z, y, {}, 0.1).item<double>(), want, 1e-6);
}

TEST(LabelLoss, UnknownEntriesCountAsZero) {
  const at::Tensor z = row({1, -2, 0.5, 3});
  const at::Tensor y = row({1, 0, 1, 0});
  const at::Tensor mask = row({1, 0, 1, 0});
  EXPECT_NEAR(evaluate::label_loss(schema::Loss::kMaskedBce, z, y, mask).item<double>(),
              (bce(1, 1) + bce(0.5, 1)) / 4, 1e-6);
}

class TeacherIntegration : public Stages {
 protected:
  /// Every second training clip of the prepared set has logits.
  void SetUp() override {
    tracker::NullSink null;
    clips_ = batches::open_clips(stage("teacher", null), small_set());
    rows_ = clips_.rows("train");
    evaluate::ScoreFile file;
    for (const auto& [id, name] : clips_.class_list()) {
      file.class_ids.push_back(id);
      file.class_names.push_back(name);
    }
    file.width = 3;
    for (size_t i = 0; i < rows_.size(); i += 2) {
      file.ids.emplace_back(clips_.shards->id(rows_[i]));
      for (int64_t k = 0; k < 3; ++k)
        file.values.push_back(static_cast<float>(i) * 0.1F - static_cast<float>(k));
    }
    logits_ = *folder_ / "some.h5";
    evaluate::write_scores(logits_, file);
  }

  /// Rows 0 (with logits) and 1 (without), mixed 3 : 1, then row 1 alone.
  static data::Batch batch() {
    data::Batch batch;
    batch.size = 2;
    batch.rows = {0, 1};
    batch.partner_rows = {1, -1};
    batch.mix = {0.75F, 1};
    return batch;
  }

  batches::Clips clips_;
  std::vector<uint32_t> rows_;
  fs::path logits_;
};

TEST_F(TeacherIntegration, MissingRowsAreAnErrorZeroOrTheLabel) {
  schema::KdOptions options;
  options.temperature = 2;
  try {
    const TeacherLogits teacher(logits_, "", options, clips_, rows_);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              fmt::format("clip {} has no teacher logits in {} (18 of 36 clips lack them); "
                          "kd.on_missing = \"zero\" or \"label\" goes on without",
                          clips_.shards->id(rows_[1]), logits_.string()));
    EXPECT_EQ(error.code(), Exit::kData);
  }
  const at::Tensor logits = at::zeros({2, 3});

  options.on_missing = schema::OnMissing::kZero;
  const TeacherLogits zero(logits_, "", options, clips_, rows_);
  EXPECT_EQ(zero.missing(), 18);
  const evaluate::SoftTarget none = zero.target(batch(), at::kCPU);
  EXPECT_NEAR(none.weight[0].item<double>(), 0.75, 1e-6);
  EXPECT_EQ(none.weight[1].item<double>(), 0);
  EXPECT_NEAR(none.probability[0][1].item<double>(), 0.75 * sigmoid(-0.5), 1e-6);
  EXPECT_EQ(none.probability[1].abs().sum().item<double>(), 0);
  // Rows without a teacher add nothing and are counted in the mean: 0.75 log 2 of 2 clips.
  EXPECT_NEAR(evaluate::soft_loss(options, logits, none).item<double>(), 0.75 * std::log(2.0) / 2,
              1e-6);

  options.on_missing = schema::OnMissing::kLabel;
  const TeacherLogits label(logits_, "", options, clips_, rows_);
  const evaluate::SoftTarget some = label.target(batch(), at::kCPU);
  EXPECT_TRUE(at::equal(some.weight, at::ones({2})));
  // Each clip of the mixed pair brings its own: the first its teacher, the second its label.
  at::Tensor own = at::zeros({3});
  own[clips_.shards->labels().of(rows_[1])[0]] = 1;
  at::Tensor mixed = own * 0.25;
  for (int64_t k = 0; k < 3; ++k) mixed[k] += 0.75 * sigmoid(-static_cast<double>(k) / 2);
  EXPECT_TRUE(at::allclose(some.probability[0], mixed)) << some.probability << mixed;
  EXPECT_TRUE(at::equal(some.probability[1], own));

  options.mix_teacher = false;
  const evaluate::SoftTarget first =
      TeacherLogits(logits_, "", options, clips_, rows_).target(batch(), at::kCPU);
  EXPECT_NEAR(first.probability[0][0].item<double>(), sigmoid(0), 1e-6);
}

/// A matrix as NumPy writes it (format 1.0).
void write_npy(const fs::path& file, const std::vector<float>& values, size_t columns) {
  const std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n",
                  values.size() / columns, columns);
  std::ofstream out(file, std::ios::binary);
  const auto length = static_cast<uint16_t>(header.size());
  out << "\x93NUMPY" << '\x01' << '\0';
  out.write(reinterpret_cast<const char*>(&length), 2);
  out << header;
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
}

TEST_F(TeacherIntegration, TakesAMatrixAndItsIndex) {
  // The originals' ids are the text after the Y of a file's name.
  std::vector<float> values;
  std::ofstream index(*folder_ / "index.csv");
  index << "id,row\n";
  for (size_t i = 0; i < rows_.size(); ++i) {
    std::string id(clips_.shards->id(rows_[i]));
    if (id.starts_with("Y")) id = id.substr(1);
    index << id << ',' << i << '\n';
    for (int k = 0; k < 3; ++k) values.push_back(static_cast<float>(i) - static_cast<float>(k));
  }
  index.close();
  write_npy(*folder_ / "ensemble.npy", values, 3);
  schema::KdOptions options;
  options.target = schema::KdTarget::kSoftmax;
  const TeacherLogits teacher(*folder_ / "ensemble.npy", *folder_ / "index.csv", options, clips_,
                              rows_);
  EXPECT_EQ(teacher.missing(), 0);
  EXPECT_TRUE(teacher.description().starts_with("ensemble.npy: logits of 36 clips, mAP 0."));
  EXPECT_TRUE(teacher.warnings().empty());
  data::Batch one = batch();
  one.partner_rows = {-1, -1};
  one.mix = {1, 1};
  const evaluate::SoftTarget target = teacher.target(one, at::kCPU);
  EXPECT_TRUE(at::allclose(target.probability[1], at::softmax(at::tensor({1.0F, 0.0F, -1.0F}), 0)));
  EXPECT_THROW(TeacherLogits(*folder_ / "ensemble.npy", "", options, clips_, rows_), Error);

  // And a whole training from it.
  tracker::MemorySink sink;
  graph::StageContext student = stage("student_npy", sink);
  graph::StageInput logits;
  logits.role = "logits";
  logits.path = *folder_ / "ensemble.npy";
  student.inputs.push_back(logits);
  schema::TrainStageOptions training = small_training();
  training.train.epochs = 1;
  training.kd.emplace(options);
  training.kd->enabled = true;
  training.kd->index = (*folder_ / "index.csv").string();
  run_train(training, student);
  EXPECT_EQ(sink.points("train.loss_kd").size(), 5U);
}

/// Rows of a teacher that gives each clip's first label `high` and the other classes `low`.
class TeacherRowsIntegration : public TeacherIntegration {
 protected:
  TeacherBank bank_of(float high, float low) const {
    TeacherBank bank;
    bank.file = "t.npy";
    bank.rows = static_cast<int64_t>(rows_.size());
    bank.classes = 3;
    bank.values.assign(rows_.size() * 3, low);
    for (size_t i = 0; i < rows_.size(); ++i) {
      bank.row_of[std::string(clips_.shards->id(rows_[i]))] = static_cast<int64_t>(i);
      bank.values[i * 3 + static_cast<size_t>(clips_.shards->labels().of(rows_[i])[0])] = high;
    }
    return bank;
  }
  std::string id(size_t i) const { return std::string(clips_.shards->id(rows_[i])); }
  std::string fault(const TeacherBank& bank) const {
    try {
      match_teacher_rows(bank, clips_, rows_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kData);
      return error.message();
    }
    return "";
  }
};

TEST_F(TeacherRowsIntegration, ATeacherThatKnowsTheLabelsIsPerfectAndAWrongIndexIsNot) {
  TeacherBank bank = bank_of(4, -4);
  const TeacherRows found = match_teacher_rows(bank, clips_, rows_);
  EXPECT_TRUE(found.warnings.empty());
  EXPECT_EQ(score_teacher_rows(bank, found, clips_, rows_),
            ", mAP 1.0000, acc 1.0000 against the labels");
  for (auto& [name, row] : bank.row_of) row = (row + 1) % bank.rows;
  const std::string wrong =
      score_teacher_rows(bank, match_teacher_rows(bank, clips_, rows_), clips_, rows_);
  EXPECT_EQ(wrong.find("mAP 1.0"), std::string::npos) << wrong;
  EXPECT_EQ(wrong.find("acc 1.0"), std::string::npos) << wrong;
}

TEST_F(TeacherRowsIntegration, ARowThatIsNotFiniteIsNamedWithItsFile) {
  for (const float bad : {NAN, INFINITY}) {
    TeacherBank bank = bank_of(4, -4);
    bank.values[5 * 3 + 1] = bad;
    EXPECT_EQ(fault(bank),
              fmt::format("t.npy: row 5 (clip {}) is not finite: class 1 is {}", id(5), bad));
    bank.row_of.erase(id(5));  // nobody's row does no harm
    EXPECT_EQ(fault(bank), "");
  }
}

TEST_F(TeacherRowsIntegration, OtherClassesAreAnError) {
  TeacherBank bank = bank_of(4, -4);
  bank.class_list = clips_.class_list();
  EXPECT_EQ(fault(bank), "");
  std::swap(bank.class_list[1], bank.class_list[2]);
  EXPECT_EQ(fault(bank), fmt::format("class 1 of the teacher in t.npy is {}, of the data set {}",
                                     bank.class_list[1].first, bank.class_list[2].first));
}

TEST_F(TeacherRowsIntegration, ProbabilitiesAndSharedRowsAreWarnedOf) {
  const std::vector<std::string> of_probabilities =
      match_teacher_rows(bank_of(0.9F, 0.05F), clips_, rows_).warnings;
  ASSERT_EQ(of_probabilities.size(), 1U);
  EXPECT_NE(of_probabilities[0].find("t.npy: all values lie in [0, 1]"), std::string::npos);
  TeacherBank bank = bank_of(4, -4);
  for (auto& [name, row] : bank.row_of) row = 0;
  const std::vector<std::string> of_rows = match_teacher_rows(bank, clips_, rows_).warnings;
  ASSERT_EQ(of_rows.size(), 1U);
  EXPECT_EQ(of_rows[0],
            fmt::format("t.npy: 35 of 36 clips have the teacher's row of another clip ({} and {} "
                        "row 0): is kd.index right?",
                        id(0), id(1)));
}

TEST_F(TeacherRowsIntegration, AnIdThatStandsTwiceIsAnError) {
  const fs::path index = *folder_ / "twice.csv";
  std::ofstream(index) << "id,row\na,0\nb,1\na,2\n";
  try {
    load::read_id_index(index);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), index.string() + ": clip a stands in it twice, with rows 0 and 2");
  }
  evaluate::ScoreFile scores = evaluate::read_scores(logits_);
  scores.ids[3] = scores.ids[1];
  const fs::path again = *folder_ / "again.h5";
  evaluate::write_scores(again, scores);
  EXPECT_THROW(read_teacher_bank(again, ""), Error);
}

double number_after(const std::string& line, const std::string& words) {
  const size_t at = line.find(words);
  return at == std::string::npos ? std::nan("") : std::stod(line.substr(at + words.size()));
}

TEST_F(TeacherIntegration, ALossThatRunsAwayIsReplayedWithItsTeacher) {
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 30;
  options.train.loss = schema::Loss::kBce;
  options.train.label_smoothing = 0.1;
  options.train.val_every_epochs = 1000;
  options.averaging.kind = schema::AveragingKind::kNone;
  options.model.dropout = 0.1;
  options.patchout.emplace();
  options.patchout->t = 1;
  options.tome.emplace();
  options.tome->r.value = 1;
  options.kd.emplace();
  options.kd->enabled = true;
  options.kd->lambda = 0.4;
  options.kd->temperature = 2;
  options.kd->on_missing = schema::OnMissing::kLabel;
  // Nothing is learned in the first fifty steps, then the steps are far too long.
  options.optimiser.lr = 10;
  options.schedule.warmup_steps = 60;
  options.schedule.warmup_every_steps = 50;
  tracker::NullSink null;
  graph::StageContext context = stage("runaway", null);
  add(context, "logits", "some.h5", "output");
  std::string message;
  try {
    run_train(options, context);
  } catch (const Error& error) {
    message = error.message();
    EXPECT_EQ(error.code(), Exit::kFailed);
  }
  ASSERT_TRUE(message.starts_with("the loss ran away: ")) << message;
  // Windows of fifty steps end before the weights of steps 49, 99, ... change.
  const auto step = static_cast<int64_t>(number_after(message, "; step "));
  EXPECT_EQ(step % 50, 49) << message;
  const size_t clips = message.find("\nclips: ");
  const size_t file = message.find("\nthe batch is kept: exp evaluate --replay ");
  ASSERT_NE(file, std::string::npos) << message;
  const std::string ids = message.substr(clips + 8, file - clips - 8);
  EXPECT_NE(ids.find(clips_.shards->id(rows_[0]).substr(0, 4)), std::string::npos) << ids;

  const std::vector<std::string> lines = replay(message.substr(file + 42));
  EXPECT_TRUE(lines.front().starts_with(fmt::format("step {}, epoch ", step))) << lines.front();
  const double lost = number_after(lines.front(), "the loss was ");
  const std::string total = "loss of the batch, computed again in fp32: ";
  ASSERT_TRUE(lines.back().starts_with(total)) << lines.back();
  EXPECT_NEAR(number_after(lines.back(), total), lost, 1e-4 * lost);
  EXPECT_NEAR(0.4 * number_after(lines.back(), ", loss_hard ") +
                  0.6 * number_after(lines.back(), ", loss_kd "),
              lost, 1e-4 * lost);
  ASSERT_EQ(lines.size(), 2U + static_cast<size_t>(std::count(ids.begin(), ids.end(), ' ')) + 1);
  double mean = 0;
  for (size_t i = 1; i + 1 < lines.size(); ++i)
    mean += number_after(lines[i], ": loss ") / static_cast<double>(lines.size() - 2);
  EXPECT_NEAR(mean, lost, 1e-4 * lost);
}

TEST_F(TeacherIntegration, AnEnsembleTeachesTheMeanOfItsLogits) {
  tracker::NullSink null;
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 1;
  for (const int64_t seed : {1, 2}) {
    options.seed = seed;
    graph::StageContext member = stage("member" + std::to_string(seed), null);
    run_train(options, member);
  }
  schema::TeachStageOptions teach;
  teach.dataset = small_set();
  teach.frontend = small_frontend();
  teach.model = options.model;
  const auto logits = [&](const std::vector<std::string>& members) {
    graph::StageContext context =
        stage("teach_" + std::to_string(members.size()) + members[0], null);
    for (const std::string& member : members) add(context, "checkpoint", member, "last");
    evaluate::run_teach(teach, context);
    return evaluate::read_scores(context.output / "logits.h5");
  };
  const evaluate::ScoreFile first = logits({"member1"});
  const evaluate::ScoreFile second = logits({"member2"});
  const evaluate::ScoreFile both = logits({"member1", "member2"});
  ASSERT_EQ(both.values.size(), first.values.size());
  for (size_t i = 0; i < both.values.size(); ++i)
    EXPECT_NEAR(both.values[i], (first.values[i] + second.values[i]) / 2, 1e-6);
  EXPECT_EQ(both.texts.at("teacher"), "member1.last + member2.last");
  EXPECT_EQ(both.texts.at("teacher_keys"), "key of member1 key of member2");
}

}  // namespace
}  // namespace xp::train
