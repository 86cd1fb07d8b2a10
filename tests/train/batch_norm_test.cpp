#include "core/train/batch_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

/// Two layers' statistics and nothing else.
class Statistics final : public model::Model {
 public:
  model::Output forward(const model::Input&, const model::Pass&) const override { return {}; }
  int64_t embedding_size() const override { return 1; }
  int64_t classes() const override { return 1; }
  model::Placement placement(std::string_view) const override { return {}; }
  int64_t layers() const override { return 1; }

  at::Tensor fast = at::full({2}, 7.0);
  at::Tensor slow = at::full({2}, 9.0);
  at::Tensor batches = at::zeros({}, at::kLong);

 private:
  void members(model::Members& list) override {
    list.buffer("bn1.running_mean", fast);
    list.buffer("bn2.running_var", slow);
    list.buffer("bn1.num_batches_tracked", batches);
  }
};

/// Moves the statistics as batch norm does, each with a momentum of its own, towards the number of
/// the batch's first clip and twice that.
class MovingTask final : public Task {
 public:
  explicit MovingTask(Statistics& model) : model_(model) {}
  void begin(const data::Batch& batch, const Place&) override {
    value_ = static_cast<double>(batch.rows.front());
  }
  Loss loss(int64_t, int64_t) override {
    model_.fast.mul_(0.9).add_(0.1 * value_);
    model_.slow.mul_(0.99).add_(0.01 * 2 * value_);
    return {};
  }
  State evidence() const override { return {}; }

 private:
  Statistics& model_;
  double value_ = 0;
};

TEST(BatchNorm, StatisticsAreThePlainMeanOverBatches) {
  Statistics model;
  MovingTask task(model);
  MadeBatches batches(40, 8);  // first clips 0, 8, 16, 24, 32
  reestimate_batch_norm(model, task, batches);
  EXPECT_TRUE(at::allclose(model.fast, at::full({2}, 16.0), 1e-4, 1e-4)) << model.fast;
  EXPECT_TRUE(at::allclose(model.slow, at::full({2}, 32.0), 1e-3, 1e-3)) << model.slow;
  EXPECT_EQ(model.batches.item<int64_t>(), 0);
  reestimate_batch_norm(model, task, batches, 2);  // of the first two alone
  EXPECT_TRUE(at::allclose(model.fast, at::full({2}, 4.0), 1e-4, 1e-4)) << model.fast;
}

}  // namespace
}  // namespace xp::train
