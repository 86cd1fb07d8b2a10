// What trains on a device gives the CPU's weights. On the pretend device it also shows that nothing
// reads device memory on the host or mixes devices: both end the test.
#include <functional>
#include <iostream>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>

#include "core/base/stop.h"
#include "tests/testing/pretend_memory.h"
#include "tests/train/device_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

class TrainingOn : public OnDevice, public ::testing::WithParamInterface<DeviceCase> {
 protected:
  static void expect_the_cpus_weights(at::Device device) {
    constexpr int64_t kSteps = 3;
    const fs::path cpu = train(GetParam(), at::kCPU, kSteps, "cpu " + GetParam().name);
    const fs::path there = train(GetParam(), device, kSteps, "device " + GetParam().name);
    for (const char* file : {"last.safetensors", "average.safetensors"}) {
      EXPECT_EQ(fs::exists(cpu / file), fs::exists(there / file)) << file;
      if (!fs::exists(cpu / file)) continue;
      const double apart = difference(cpu / file, there / file);
      std::cout << GetParam() << ", " << file << ": " << apart << " of " << GetParam().tolerance
                << "\n";
      EXPECT_LE(apart, GetParam().tolerance) << file;
    }
  }
};

class TrainingDevice : public TrainingOn {};
class TrainingGpu : public TrainingOn {};

TEST_P(TrainingDevice, GivesTheCpusWeights) { expect_the_cpus_weights(testing::pretend_device()); }

TEST_P(TrainingGpu, GivesTheCpusWeights) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  expect_the_cpus_weights(first_gpu());
}

INSTANTIATE_TEST_SUITE_P(All, TrainingDevice, ::testing::ValuesIn(device_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(All, TrainingGpu, ::testing::ValuesIn(device_cases()), name_of_case);

class ResumeOn : public OnDevice {
 protected:
  /// Six steps at once, and with a stop after the second.
  static void expect_the_same_bits_after_a_stop(at::Device device) {
    DeviceCase c;
    c.change = [](schema::TrainStageOptions& o) {
      o.train.precision = schema::Precision::kFp16;
      o.optimiser = schema::OptimiserOptions::of_kind(schema::OptimiserKind::kAdamw);
      o.optimiser.lr = 1e-3;
      o.augment.spec_mix_alpha = 0.3;
      o.averaging.kind = schema::AveragingKind::kEma;
    };
    const fs::path whole = train(c, device, 6, "whole");
    EXPECT_THROW(train(c, device, 6, "stopped", 2), Stopped);
    const fs::path in_two = train(c, device, 6, "stopped");
    for (const char* file : {"last.safetensors", "average.safetensors"})
      EXPECT_EQ(bytes_of_weights(whole / file), bytes_of_weights(in_two / file)) << file;
  }
};
class ResumeDevice : public ResumeOn {};
class ResumeGpu : public ResumeOn {};

TEST_F(ResumeDevice, GivesTheBitsOfATrainingThatWasNotStopped) {
  expect_the_same_bits_after_a_stop(testing::pretend_device());
}

TEST_F(ResumeGpu, GivesTheBitsOfATrainingThatWasNotStopped) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  expect_the_same_bits_after_a_stop(first_gpu());
}

// The device itself: what the suites above rest on.

class PretendDevice : public ::testing::Test {};

TEST_F(PretendDevice, TheHostThatReadsItsMemoryEndsWithAStack) {
  const at::Tensor there = at::ones({4}, testing::pretend_device());
  EXPECT_EQ(there.sum().item<float>(), 4);
  const float* const values = static_cast<const float*>(there.const_data_ptr());
  EXPECT_EXIT(std::cout << values[0], ::testing::ExitedWithCode(testing::PretendMemory::kTouched),
              "the host touched memory of the pretend device");
}

TEST_F(PretendDevice, TensorsOfTwoDevicesAreRefused) {
  const at::Tensor there = at::ones({4}, testing::pretend_device());
  EXPECT_THROW(there + at::ones({4}), c10::Error);
  EXPECT_EQ((there + at::ones({})).sum().item<float>(), 8) << "a number may come from the CPU";
}

TEST_F(PretendDevice, ACopyThatIsNotWaitedForHasNotArrived) {
  const at::Device device = testing::pretend_device();
  const at::Tensor there = at::ones({4}, device);
  const at::Tensor here = at::zeros({4}, at::TensorOptions().pinned_memory(true));
  here.copy_(there, /*non_blocking=*/true);
  EXPECT_EQ(here.sum().item<float>(), 0);
  c10::Event arrived(device.type());
  arrived.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  arrived.synchronize();
  EXPECT_EQ(here.sum().item<float>(), 4);
}

TEST_F(PretendDevice, CountsWhatTheHostWaitsFor) {
  const at::Device device = testing::pretend_device();
  const at::Tensor there = at::ones({4}, device);
  const auto waits = [](const std::function<void()>& work) {
    const testing::DeviceWork before = testing::device_work();
    work();
    const testing::DeviceWork after = testing::device_work() - before;
    return std::make_pair(after.waits, after.pageable);
  };
  using Counts = std::pair<int64_t, int64_t>;
  EXPECT_EQ(waits([&] { there.add(1).mul(2); }), Counts(0, 0));
  EXPECT_EQ(waits([&] { (void)there.sum().item<float>(); }), Counts(1, 0));
  EXPECT_EQ(waits([&] { (void)there.cpu(); }), Counts(1, 0));
  EXPECT_EQ(waits([&] { (void)at::equal(there, there); }), Counts(1, 0));
  EXPECT_EQ(waits([&] { (void)at::ones({4}).to(device); }), Counts(1, 0));
  EXPECT_EQ(waits([&] { (void)at::ones({4}).to(device, /*non_blocking=*/true); }), Counts(0, 1));
  EXPECT_EQ(waits([&] { (void)at::ones({4}).pin_memory().to(device, /*non_blocking=*/true); }),
            Counts(0, 0));
}

}  // namespace
}  // namespace xp::train
