// Masked pretraining against a computation by hand.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/model/registry.h"
#include "core/train/pretrain_task.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

constexpr int64_t kSide = 16;  // of a patch; the grid of [128, 64] is 8 x 4
constexpr int64_t kMasked = 8;

/// What the generative head says for every patch, whatever it hears: element (i, j) of the patch.
float said(int64_t i, int64_t j) {
  return 0.1F * static_cast<float>(i) - 0.05F * static_cast<float>(j);
}

/// Mean over clips and masked patches of (said - heard)^2, in plain loops.
double mse_by_hand(const at::Tensor& mel, const at::Tensor& masks) {
  const auto heard = mel.accessor<float, 3>();
  const auto places = masks.accessor<int64_t, 2>();
  double sum = 0;
  int64_t count = 0;
  for (int64_t clip = 0; clip < mel.size(0); ++clip)
    for (int64_t m = 0; m < masks.size(1); ++m)
      for (int64_t i = 0; i < kSide; ++i)
        for (int64_t j = 0; j < kSide; ++j, ++count) {
          const int64_t f = places[clip][m] / 4 * kSide + i;
          const int64_t t = places[clip][m] % 4 * kSide + j;
          sum += std::pow(static_cast<double>(said(i, j) - heard[clip][f][t]), 2);
        }
  return sum / static_cast<double>(count);
}

class MaskedIntegration : public Stages {
 protected:
  void SetUp() override {
    frontend_options_.mel_bins = 128;
    options_ = schema::ModelOptions::of_kind(schema::Family::k_ssast);
    options_.arch = "ssast-tiny-patch";
    options_.depth = 1;
    options_.dim = 24;
    options_.heads = 2;
    options_.fstride = options_.tstride = kSide;
    model_ = model::make_masked_model(options_, {128, 64}, 3);
    // Both heads answer alike for every patch: with a bias and nothing else.
    for (const model::NamedTensor& named : model_->parameters()) {
      at::Tensor tensor = named.tensor.detach();
      if (named.name.ends_with("predlayer.2.weight")) tensor.zero_();
      if (named.name != "gpredlayer.2.bias") continue;
      for (int64_t k = 0; k < kSide * kSide; ++k) tensor[k] = said(k / kSide, k % kSide);
    }
    model_->require_grad(true);
    tracker::NullSink null;
    clips_ = batches::open_clips(stage("masked", null), small_set());
    rows_ = clips_.rows("train");
    pretrain_.masked = kMasked;
    pretrain_.cluster_min = 2;
    pretrain_.cluster_max = 3;
    settings_ = {kMasked, 2, 3};
  }
  PretrainTask task() const {
    ClipTask::Setup setup;
    setup.frontend = &frontend_;
    setup.clips = clips_;
    setup.rows = rows_;
    setup.seed = 5;
    return {setup, *model_, pretrain_};
  }

  schema::FrontendOptions frontend_options_ = small_frontend();
  frontend::Frontend frontend_{[] {
                                 auto options = small_frontend();
                                 options.mel_bins = 128;
                                 return options;
                               }(),
                               {}};
  schema::ModelOptions options_;
  schema::PretrainOptions pretrain_;
  model::MaskSettings settings_;
  std::unique_ptr<model::MaskedTrunk> model_;
  batches::Clips clips_;
  std::vector<uint32_t> rows_;
};

TEST_F(MaskedIntegration, LossesOfABatch) {
  batches::TrainingInput input;
  input.frontend = frontend_options_;
  input.batch_size = 3;
  input.seed = 5;
  const auto batches = batches::training_batches(clips_, rows_, input);
  batches->start(1, 2);
  const auto batch = batches->next();
  ASSERT_TRUE(batch.has_value());
  PretrainTask task = this->task();
  task.begin(*batch, {14, 1});
  const Loss loss = task.loss(1, 2);  // the second and the third clip

  const at::Tensor mel = frontend_.forward(batches::waves_of(*batch, at::kCPU)).mel;
  const std::vector<int64_t> positions{batch->position + 1, batch->position + 2};
  const model::DrawKey key{5, 1, 14, positions};
  const at::Tensor masks = model::draw_masks(settings_, {{8, 4}, {8, 4}}, key, 1);
  ASSERT_EQ(masks.sizes(), (std::vector<int64_t>{2, kMasked}));
  const double mse = mse_by_hand(mel.narrow(0, 1, 2), masks);
  const double nce = std::log(static_cast<double>(kMasked));  // every answer fits every patch alike
  ASSERT_EQ(loss.parts.size(), 3U);
  EXPECT_EQ(loss.parts[0].first, "loss_nce");
  EXPECT_NEAR(loss.parts[0].second.item<double>(), nce, 1e-5);
  EXPECT_EQ(loss.parts[2].first, "loss_mse");
  EXPECT_NEAR(loss.parts[2].second.item<double>(), mse, 1e-5 * mse);
  EXPECT_NEAR(loss.total.item<double>(), nce + 10 * mse, 1e-5 * (nce + 10 * mse));

  pretrain_.task = schema::PretrainTask::kGenerative;  // alone it has no factor
  PretrainTask alone = this->task();
  alone.begin(*batch, {14, 1});
  EXPECT_NEAR(alone.loss(1, 2).total.item<double>(), mse, 1e-5 * mse);
}

TEST_F(MaskedIntegration, ValidationIsTheMeanOverClips) {
  const std::vector<uint32_t> rows = clips_.rows("val");
  evaluate::PredictOptions how;
  how.batch_size = 5;  // 12 clips: the last batch has two
  const auto metrics = task().validate(rows, frontend_options_, how);
  double sum = 0;
  batches::EvaluationBatches each(clips_, rows, frontend_options_, {});
  std::vector<int64_t> position{0};
  for (auto batch = each.next(); batch; batch = each.next(), ++position[0]) {
    const at::Tensor mel = frontend_.forward(batches::waves_of(*batch, at::kCPU)).mel;
    const model::DrawKey key{0, 0, 0, position};
    sum += mse_by_hand(mel, model::draw_masks(settings_, {{8, 4}}, key, 1));
  }
  ASSERT_EQ(position[0], 12);
  const double mse = sum / 12;
  EXPECT_NEAR(metrics.at("loss_mse"), mse, 1e-5 * mse);
  EXPECT_NEAR(metrics.at("loss"), std::log(static_cast<double>(kMasked)) + 10 * mse, 1e-4 * mse);
}

}  // namespace
}  // namespace xp::train
