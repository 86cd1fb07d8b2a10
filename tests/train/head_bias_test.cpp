// Where the bias of a fresh model's last layer starts.
#include "core/train/head_bias.h"

#include <cmath>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/registry.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using fixture::small_set;
using fixture::small_training;
using schema::HeadBias;

class HeadBiasIntegration : public fixture::Stages {
 protected:
  void SetUp() override {
    tracker::NullSink null;
    clips_ = batches::open_clips(stage("bias", null), small_set());
    rows_ = clips_.rows("train");
  }

  /// The bias of a fresh model's classifier; what it was before in `untouched_`.
  at::Tensor start(const schema::TrainStageOptions& options, bool from_nothing = true) {
    const auto model = model::make_model(
        {.options = options.model, .geometry = {32, 64}, .classes = 3, .seed = 5});
    std::map<std::string, at::Tensor> before;
    for (const model::NamedTensor& entry : model->parameters())
      before[entry.name] = entry.tensor.detach().clone();
    start_head_bias(*model, options, from_nothing, clips_, rows_);
    at::Tensor bias;
    for (const model::NamedTensor& entry : model->parameters()) {
      const bool is_it = entry.name == "head.linear.bias" || entry.name == "classifier.5.bias";
      if (is_it) {
        bias = entry.tensor.detach();
        untouched_ = before.at(entry.name);
      } else {
        EXPECT_TRUE(at::equal(entry.tensor, before.at(entry.name))) << entry.name;
      }
      EXPECT_TRUE(entry.tensor.requires_grad()) << entry.name;
    }
    return bias;
  }

  batches::Clips clips_;
  std::vector<uint32_t> rows_;
  at::Tensor untouched_;
};

TEST_F(HeadBiasIntegration, AutoIsLogClassesForATransformerFromNothingUnderBce) {
  schema::TrainStageOptions options = small_training();
  options.model.init = schema::InitRule::kTorchOnly;  // whose biases are drawn
  options.train.loss = schema::Loss::kBce;
  const at::Tensor log_classes = at::full({3}, -std::log(3.0));
  EXPECT_TRUE(at::equal(start(options), log_classes));
  EXPECT_TRUE(at::equal(start(options, false), untouched_)) << "weights are loaded";
  options.train.loss = schema::Loss::kMaskedBce;
  EXPECT_TRUE(at::equal(start(options), untouched_));
  options.train.loss = schema::Loss::kCe;
  EXPECT_TRUE(at::equal(start(options), untouched_));
  EXPECT_GT(untouched_.abs().min().item<double>(), 0);

  options.model.head_bias = HeadBias::kLogClasses;
  EXPECT_TRUE(at::equal(start(options, false), log_classes)) << "where it is asked for";
  options.model.head_bias = HeadBias::kZero;
  EXPECT_TRUE(at::equal(start(options), at::zeros({3})));
  options.train.loss = schema::Loss::kBce;
  options.model.head_bias = HeadBias::kInit;
  EXPECT_TRUE(at::equal(start(options), untouched_));
}

TEST_F(HeadBiasIntegration, CnnsStartAsBeforeUnlessTold) {
  schema::TrainStageOptions options = small_training();
  options.model = schema::ModelOptions::of_kind(schema::Family::k_mn);
  options.model.arch = "mn01";
  options.train.loss = schema::Loss::kBce;
  EXPECT_TRUE(at::equal(start(options), untouched_));
  options.model.head_bias = HeadBias::kLogClasses;
  EXPECT_TRUE(at::equal(start(options), at::full({3}, -std::log(3.0))));
  options.model.cnn_head = schema::CnnHead::kAttention;
  EXPECT_THROW(start(options), Error);
}

TEST_F(HeadBiasIntegration, FrequenciesAreThoseOfTheTrainingSplit) {
  schema::TrainStageOptions options = small_training();
  options.model.head_bias = HeadBias::kFrequencies;
  std::vector<double> clips_with(3, 0.5);
  for (const uint32_t row : rows_)
    for (const int32_t k : clips_.shards->labels().of(row)) clips_with[static_cast<size_t>(k)] += 1;
  const double all = static_cast<double>(rows_.size()) + 1;

  options.train.loss = schema::Loss::kBce;
  const at::Tensor share = start(options).sigmoid();
  options.train.loss = schema::Loss::kCe;
  const at::Tensor of_one = start(options).softmax(0);
  double sum = 0;
  for (const double with : clips_with) sum += with;
  for (size_t k = 0; k < clips_with.size(); ++k) {
    const auto at = static_cast<int64_t>(k);
    EXPECT_NEAR(share[at].item<double>(), clips_with[k] / all, 1e-6);
    EXPECT_NEAR(of_one[at].item<double>(), clips_with[k] / sum, 1e-6);
  }
}

}  // namespace
}  // namespace xp::train
