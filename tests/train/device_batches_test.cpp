#include "core/batches/device_batches.h"

#include <memory>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/sampler.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

class DeviceBatchesTest : public Stages {
 protected:
  DeviceBatchesTest()
      : shards_(std::make_shared<const data::ShardReader>(*folder_ / "prepare")),
        rows_(data::rows_of_split(*shards_, small_set(), "train")),
        sampler_({}, shards_->labels(), rows_, 7) {}

  /// Reads the sampler of the test.
  batches::DeviceBatches batches(at::Device device, int64_t gain_db) const {
    data::LoaderOptions options;
    options.shards = shards_;
    options.rows = rows_;
    options.batch_size = 8;
    options.workers = 2;
    options.augment.gain_db = gain_db;
    return {options, sampler_, device};
  }
  /// Every batch of an epoch from `first` on, sound beside labels, on the CPU.
  static std::vector<at::Tensor> epoch(batches::DeviceBatches& batches, at::Device device,
                                       int64_t first) {
    std::vector<at::Tensor> all;
    batches.start(2, first);
    while (const auto batch = batches.next())
      all.push_back(
          at::cat({batches::waves_of(*batch, device).samples, batches::labels_of(*batch, device)},
                  1)
              .cpu());
    return all;
  }
  static void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << i;
  }

  std::shared_ptr<const data::ShardReader> shards_;
  std::vector<uint32_t> rows_;
  data::Sampler sampler_;
};

TEST_F(DeviceBatchesTest, SamplesOfSixteenBitsAreTheFloats) {
  data::LoaderOptions options;
  options.shards = shards_;
  options.rows = rows_;
  options.batch_size = 8;
  data::Loader floats(options, sampler_);
  floats.start(2);
  batches::DeviceBatches ours = batches(at::kCPU, 0);
  ours.start(2, 0);
  while (const auto batch = ours.next()) {
    ASSERT_NE(batch->pcm, nullptr);
    const auto want = floats.next();
    EXPECT_TRUE(at::equal(batches::waves_of(*batch, at::kCPU).samples,
                          at::from_blob(want->waves, {want->size, want->samples})));
  }
  EXPECT_FALSE(floats.next());
}

class DeviceBatchesGpu : public DeviceBatchesTest {};

TEST_F(DeviceBatchesGpu, WhatArrivesIsWhatTheCpuHas) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  const at::Device gpu(at::kCUDA, 0);
  for (const int64_t gain_db : {0, 6}) {
    batches::DeviceBatches on_cpu = batches(at::kCPU, gain_db);
    batches::DeviceBatches on_gpu = batches(gpu, gain_db);
    const auto want = epoch(on_cpu, at::kCPU, 0);
    for (int round = 0; round < 5; ++round) expect_equal(epoch(on_gpu, gpu, 0), want);
    on_gpu.start(2, 0);  // a batch on its way is dropped
    on_gpu.next();
    expect_equal(epoch(on_gpu, gpu, 1), {want.begin() + 1, want.end()});
  }
}

}  // namespace
}  // namespace xp::train
