// What a clip gives depends on nothing but the clip: not on the others of its batch, on how many
// there are, on threads, workers or the order of files. For every family, front end and operation.
#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/ops/norm_stats.h"
#include "core/train/pretrain_task.h"
#include "core/train/run.h"
#include "data/stats.h"
#include "tests/train/company_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

constexpr double kBound = 1e-5;

/// One way to go through the same clips.
struct Company {
  int64_t batch_size;
  int workers;
  int threads;
  bool backwards;
};
constexpr Company kCompanies[] = {{3, 3, 2, true}, {16, 1, 1, false}};

double largest(const at::Tensor& x) { return std::max(1.0, x.abs().max().item<double>()); }
double apart(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

using Member = std::tuple<Family, schema::FrontendKind>;

class CompanyIntegration : public UnequalClips, public ::testing::WithParamInterface<Member> {
 protected:
  CompanyIntegration()
      : family_(std::get<0>(GetParam())),
        options_(open_frontend(std::get<1>(GetParam()))),
        frontend_(options_, {}),
        model_(model_of(family_, options_.kind)),
        clips_(clips()),
        rows_(clips_.rows("test")) {}
  ~CompanyIntegration() override { at::set_num_threads(1); }

  /// Logits or embeddings of the rows, in their order.
  at::Tensor outputs(const std::vector<uint32_t>& rows, const evaluate::PredictOptions& how) const {
    const evaluate::Predictions predictions =
        evaluate::predict({model_.get()}, frontend_, options_, clips_, rows, how);
    return how.embeddings ? predictions.embeddings : predictions.logits;
  }
  at::Tensor alone(evaluate::PredictOptions how) const {
    how.batch_size = 1;
    return outputs(rows_, how);
  }
  at::Tensor in(const Company& company, evaluate::PredictOptions how) const {
    at::set_num_threads(company.threads);
    how.batch_size = company.batch_size;
    how.workers = company.workers;
    if (!company.backwards) return outputs(rows_, how);
    return outputs({rows_.rbegin(), rows_.rend()}, how).flip(0);
  }
  /// Returns how far scores are apart at most, of the largest.
  double expect_alike(const evaluate::PredictOptions& how, double bound) const {
    const at::Tensor want = alone(how);
    double worst = 0;
    for (const Company& company : kCompanies) {
      SCOPED_TRACE(::testing::Message()
                   << "batches of " << company.batch_size << ", " << company.threads << " threads, "
                   << (company.backwards ? "backwards" : "in order"));
      const double share = apart(in(company, how), want) / largest(want);
      EXPECT_LE(share, bound);
      worst = std::max(worst, share);
    }
    return worst;
  }

  Family family_;
  schema::FrontendOptions options_;
  frontend::Frontend frontend_;
  std::unique_ptr<model::Model> model_;
  batches::Clips clips_;
  std::vector<uint32_t> rows_;
};

TEST_P(CompanyIntegration, ScoresAndEmbeddings) {
  ASSERT_EQ(rows_.size(), std::size(kLengths_s));
  for (const bool embeddings : {false, true}) {
    evaluate::PredictOptions how;
    how.embeddings = embeddings;
    expect_alike(how, kBound);
  }
}

/// The test above would notice: were padding heard, scores would differ by far more.
TEST_P(CompanyIntegration, PaddingThatIsHeardIsNoticed) {
  const at::NoGradGuard no_grad;
  batches::EvaluationBatches batches(clips_, rows_, options_, {16});
  const auto batch = batches.next();
  const frontend::Spectrograms clips = frontend_.forward(batches::waves_of(*batch, at::kCPU));
  const at::Tensor with = model_->forward(clips, {}).logits;
  const at::Tensor without = model_->forward(model::Input::whole(clips.mel), {}).logits;
  EXPECT_GT(apart(with, without), 20 * kBound * largest(with));
}

TEST_P(CompanyIntegration, ScoresOfWindows) {
  evaluate::PredictOptions how;
  const at::Tensor whole = alone(how);
  how.window_s = 0.5;
  expect_alike(how, kBound);
  const at::Tensor windows = alone(how);
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const bool fits = clips_.shards->samples(rows_[i]) <= 8000;
    if (fits) {
      EXPECT_LE(apart(whole[at], windows[at]), kBound * largest(whole)) << i;
    }
  }
  how.window_s = 2;
  EXPECT_LE(apart(alone(how), whole), kBound * largest(whole)) << "all clips are shorter";
}

TEST_P(CompanyIntegration, ScoresInBf16) {
  evaluate::PredictOptions how;
  how.precision = schema::Precision::kBf16;
  const double worst = expect_alike(how, family_.bf16);
  fmt::print("bf16: at most {:.2g} of the largest score apart\n", worst);
}

TEST_P(CompanyIntegration, AClipThatIsTooShortIsNamed) {
  const std::vector<uint32_t> rows = clips_.rows("val");
  ASSERT_EQ(rows.size(), 2U);
  if (model_->least_frames() <= 3) GTEST_SKIP() << "hears 50 ms";
  const auto message = [&](const std::vector<uint32_t>& of, int64_t batch_size) -> std::string {
    evaluate::PredictOptions how;
    how.batch_size = batch_size;
    try {
      outputs(of, how);
      return "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kData);
      return error.message();
    }
  };
  const std::string text = message(rows, 1);
  EXPECT_NE(text.find("odd/17.wav"), std::string::npos) << text;
  EXPECT_EQ(message(rows, 16), text);
  EXPECT_EQ(message({rows.rbegin(), rows.rend()}, 2), text);
}

INSTANTIATE_TEST_SUITE_P(All, CompanyIntegration,
                         ::testing::Combine(::testing::ValuesIn(kFamilies),
                                            ::testing::Values(schema::FrontendKind::kKaldi,
                                                              schema::FrontendKind::kAugmentMel)),
                         [](const auto& parameter) {
                           return std::string(std::get<0>(parameter.param).name) + "_" +
                                  std::string(recipe::enum_name(std::get<1>(parameter.param)));
                         });

class UnequalClipsIntegration : public UnequalClips {};

TEST_F(UnequalClipsIntegration, ValidationOfPretraining) {
  for (const auto kind : {schema::FrontendKind::kKaldi, schema::FrontendKind::kAugmentMel}) {
    for (const char* arch : {"ssast-tiny-patch", "ssast-tiny-frame"}) {
      SCOPED_TRACE(arch);
      const schema::FrontendOptions options = open_frontend(kind);
      const frontend::Frontend frontend(options, {});
      const auto model =
          model::make_masked_model(options_of({"", arch}), {options.mel_bins, 80}, 3);
      ClipTask::Setup setup;
      setup.frontend = &frontend;
      setup.clips = clips();
      setup.rows = setup.clips.rows("test");
      schema::PretrainOptions pretrain;
      pretrain.masked = 12;
      const PretrainTask task(setup, *model, pretrain);
      evaluate::PredictOptions how;
      how.batch_size = 1;
      const auto want = task.validate(setup.rows, options, how);
      for (const int64_t batch_size : {2, 3, 16}) {
        how.batch_size = batch_size;
        for (const auto& [metric, value] : task.validate(setup.rows, options, how))
          EXPECT_NEAR(value, want.at(metric), kBound * std::max(1.0, std::abs(want.at(metric))))
              << metric << " in batches of " << batch_size;
      }
    }
  }
}

TEST_F(UnequalClipsIntegration, Statistics) {
  for (const auto kind : {schema::FrontendKind::kKaldi, schema::FrontendKind::kAugmentMel}) {
    const batches::Clips all = clips();
    std::vector<uint32_t> rows = all.rows("test");
    data::StatsJob job;
    const ops::NormStats want = data::norm_stats(*all.shards, rows, open_frontend(kind), job);
    std::reverse(rows.begin(), rows.end());
    job.threads = 3;
    const ops::NormStats got = data::norm_stats(*all.shards, rows, open_frontend(kind), job);
    EXPECT_NEAR(got.mean, want.mean, kBound * std::abs(want.mean));
    EXPECT_NEAR(got.std, want.std, kBound * want.std);
  }
}

/// What the linear baseline says of a clip: in any batch, on any number of threads, beside any
/// others.
TEST_F(UnequalClipsIntegration, LinearBaseline) {
  const auto few = *folder_ / "few";
  fs::create_directories(few / "sounds/test");
  fs::copy(*folder_ / "sounds/train", few / "sounds/train", fs::copy_options::recursive);
  for (const char* clip : {"even/08.wav", "odd/09.wav"}) {
    fs::create_directories((few / "sounds/test" / clip).parent_path());
    fs::copy_file(*folder_ / "sounds/test" / clip, few / "sounds/test" / clip);
  }
  tracker::NullSink null;
  schema::PrepareOptions prepare;
  prepare.dataset = set();
  prepare.dataset.root = (few / "sounds").string();
  graph::StageContext prepared = stage("prepare", null);
  prepared.output = few / "prepare";
  fs::create_directories(prepared.output);
  data::run_prepare(prepare, prepared);

  for (const auto kind : {schema::FrontendKind::kKaldi, schema::FrontendKind::kAugmentMel}) {
    int runs = 0;
    const auto scores = [&](bool alone, int64_t batch_size, int threads) {
      graph::StageContext context =
          stage(fmt::format("baseline {} {}", recipe::enum_name(kind), runs++), null);
      context.resources.threads = threads;
      if (alone) context.inputs.front().path = few / "prepare";
      schema::BaselineStageOptions options;
      options.dataset = alone ? prepare.dataset : set();
      options.frontend = open_frontend(kind);
      options.eval.batch_size = batch_size;
      evaluate::run_baseline(options, context);
      const evaluate::ScoreFile file = evaluate::read_scores(context.output / "predictions.h5");
      std::map<std::string, std::vector<float>> by_clip;
      for (size_t i = 0; i < file.ids.size(); ++i)
        by_clip[file.ids[i]] = {file.values.begin() + static_cast<std::ptrdiff_t>(2 * i),
                                file.values.begin() + static_cast<std::ptrdiff_t>(2 * i + 2)};
      return by_clip;
    };
    const auto want = scores(false, 1, 1);
    ASSERT_EQ(want.size(), std::size(kLengths_s));
    EXPECT_EQ(scores(false, 16, 3), want);
    const auto two = scores(true, 3, 1);
    ASSERT_EQ(two.size(), 2U);
    for (const auto& [clip, values] : two) EXPECT_EQ(values, want.at(clip)) << clip;
    EXPECT_NE(two.begin()->second, two.rbegin()->second);
  }
}

/// The stages: teach, evaluate, embed and the validation of a training give the same whatever
/// eval.batch_size is; the baseline and the trained weights do not know of it.
TEST_F(UnequalClipsIntegration, Stages) {
  for (const char* arch : {"ast-nano", "mn01"}) {
    SCOPED_TRACE(arch);
    tracker::MemorySink sink;
    schema::TrainStageOptions training = small_training();
    training.dataset = set();
    training.dataset.val = "test";
    training.frontend = open_frontend(schema::FrontendKind::kKaldi);
    training.model = options_of({"", arch});
    training.train.epochs = 1;
    training.train.batch_size = 3;
    graph::StageContext train = stage(fmt::format("train {}", arch), sink);
    run_train(training, train);

    const auto check = [&](const std::string& file, const auto& run) {
      std::vector<at::Tensor> all;
      std::vector<std::vector<std::string>> ids;
      for (const int64_t batch_size : {1, 3, 16}) {
        const std::string name = fmt::format("{} {} {}", arch, file, batch_size);
        graph::StageContext context = stage(name, sink);
        add(context, "checkpoint", train.name, "last");
        schema::EvalOptions eval;
        eval.batch_size = batch_size;
        run(eval, context);
        const evaluate::ScoreFile scores = evaluate::read_scores(context.output / file);
        all.push_back(at::tensor(scores.values));
        ids.push_back(scores.ids);
      }
      for (size_t i = 1; i < all.size(); ++i) {
        EXPECT_LE(apart(all[i], all[0]), kBound * largest(all[0])) << file;
        EXPECT_EQ(ids[i], ids[0]);
      }
      return all[0];
    };
    const auto of = [&](auto options, const schema::EvalOptions& eval) {
      options.dataset = training.dataset;
      options.frontend = training.frontend;
      options.model = training.model;
      options.eval.batch_size = eval.batch_size;
      return options;
    };
    const at::Tensor evaluated =
        check("predictions.h5", [&](const schema::EvalOptions& eval, graph::StageContext& context) {
          evaluate::run_evaluate(of(schema::EvaluateStageOptions{}, eval), context);
        });
    check("embeddings.h5", [&](const schema::EvalOptions& eval, graph::StageContext& context) {
      evaluate::run_embed(of(schema::EmbedStageOptions{}, eval), context);
    });
    const at::Tensor taught =
        check("logits.h5", [&](const schema::EvalOptions& eval, graph::StageContext& context) {
          auto options = of(schema::TeachStageOptions{}, eval);
          options.split = "test";
          evaluate::run_teach(options, context);
        });
    EXPECT_TRUE(at::equal(taught, evaluated));
    const double loss = sink.last("val.loss");
    const at::Tensor logits = evaluated.view({-1, 2});
    const at::Tensor labels =
        at::tensor(evaluate::read_scores(*folder_ / fmt::format("{} predictions.h5 1", arch) /
                                         "predictions.h5")
                       .targets)
            .view({-1, 2});
    const double want = -(at::log_softmax(logits, 1) * labels).sum(1).mean().item<double>();
    EXPECT_NEAR(loss, want, 1e-4) << "the validation scores as the stage does";
  }
}

}  // namespace
}  // namespace xp::train
