// A device is not waited for, and what a training says and leaves is what the CPU's is: broken
// steps, runaway losses, requests to stop, logs.
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/checkpoint/archive.h"
#include "core/train/averaging.h"
#include "core/train/hooks.h"
#include "tests/testing/pretend_device.h"
#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
using xp::testing::TempDir;

struct Trial {
  std::function<void(LinearTask&)> task = [](LinearTask&) {};
  std::function<void(LoopOptions&)> options = [](LoopOptions&) {};
  int64_t stop_after = 0;
};

struct Ending {
  at::Tensor weight, average;
  std::string error;
  std::vector<std::string> events;
  std::vector<std::pair<int64_t, double>> losses;
  int64_t saved = -1;
  std::string evidence;  // bytes of the tensors of the broken step
};

Ending end_of(const Trial& trial, at::Device device) {
  const TempDir folder;
  tracker::MemorySink sink;
  LinearProblem problem;
  problem.weight = at::full({3, 4}, 0.1, at::TensorOptions().device(device)).requires_grad_();
  problem.bias = at::zeros({3}, at::TensorOptions().device(device)).requires_grad_();
  LinearTask task(problem);
  trial.task(task);
  LoopOptions options = linear_options();
  options.train.log_every_steps = 5;
  options.train.epochs = 2;
  trial.options(options);
  schema::AveragingOptions averaging_options;
  averaging_options.kind = schema::AveragingKind::kEma;
  averaging_options.decay = 0.9;
  Averaging averaging(averaging_options, {{"weight", problem.weight}, {"bias", problem.bias}},
                      options.train.epochs);
  LogHook log(sink);
  AverageHook average(averaging);
  DivergenceHook divergence(4);
  MadeBatches batches(52, 8);
  graph::StageContext context = stage_context(folder / "train", sink);
  int64_t asked = 0;
  if (trial.stop_after > 0)
    context.stop_requested = [&] {
      return ++asked >= trial.stop_after ? StopReason::kPreempted : StopReason::kNone;
    };
  Ending ending;
  try {
    Loop loop(options, problem.state(), problem.trained(), 2, task, batches,
              {&log, &average, &divergence}, context, device, nullptr);
    loop.run();
  } catch (const Stopped&) {
    ending.error = "stopped";
  } catch (const Error& error) {
    ending.error = error.message().substr(0, error.message().find("\nthe batch is kept"));
  }
  ending.weight = problem.weight.detach().cpu();
  ending.average = averaging.state().tensor("weight").cpu();
  for (const auto& event : sink.events()) ending.events.push_back(event.text);
  for (const auto& point : sink.points("train.loss"))
    ending.losses.emplace_back(point.step, point.value);
  if (const auto saved = CheckpointFolder(context.output).load([](std::string_view) {}))
    ending.saved = saved->step;
  for (const auto& entry : std::filesystem::directory_iterator(context.output)) {
    if (!entry.path().filename().string().starts_with("broken-step")) continue;
    const auto archive = checkpoint::Archive::open(entry.path());
    for (const auto& tensor : archive.entries())
      ending.evidence +=
          tensor.name +
          std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return ending;
}

/// The same kernels compute both, so all of it is equal to the bit.
void expect_the_same_ending(const Trial& trial, bool broken) {
  const Ending device = end_of(trial, testing::pretend_device());
  const Ending cpu = end_of(trial, at::kCPU);
  EXPECT_TRUE(at::equal(device.weight, cpu.weight));
  // A training that failed keeps no average.
  if (cpu.error.empty() || cpu.error == "stopped") {
    EXPECT_TRUE(at::equal(device.average, cpu.average));
  }
  EXPECT_EQ(device.error, cpu.error);
  EXPECT_EQ(device.events, cpu.events);
  EXPECT_EQ(device.losses, cpu.losses);
  EXPECT_EQ(device.saved, cpu.saved);
  EXPECT_EQ(device.evidence, cpu.evidence);
  EXPECT_EQ(cpu.error.empty(), !broken) << cpu.error;
}

TEST(UnreadDevice, ATrainingIsTheCpus) {
  expect_the_same_ending({}, false);
  expect_the_same_ending({.options = [](LoopOptions& o) { o.train.clip_norm = 0.1; }}, false);
  expect_the_same_ending({.options = [](LoopOptions& o) { o.micro_batch = 3; }}, false);
  expect_the_same_ending(
      {.options = [](LoopOptions& o) { o.train.precision = schema::Precision::kFp16; }}, false);
}

TEST(UnreadDevice, BrokenStepsAreSkipped) {
  for (const auto precision : {schema::Precision::kFp32, schema::Precision::kFp16}) {
    for (const auto kind : {schema::OptimiserKind::kAdamw, schema::OptimiserKind::kSgd}) {
      const auto options = [=](LoopOptions& o) {
        o.train.on_nan = schema::OnNan::kSkip;
        o.train.precision = precision;
        o.optimiser.kind = kind;
        o.optimiser.lr = 0.01;
        o.optimiser.momentum = kind == schema::OptimiserKind::kSgd ? 0.9 : 0;
      };
      for (const int64_t step : {0, 4}) {
        expect_the_same_ending({[=](LinearTask& t) { t.broken_step = step; }, options}, false);
        expect_the_same_ending({[=](LinearTask& t) { t.steep_step = step; }, options}, false);
      }
    }
  }
}

TEST(UnreadDevice, ABrokenStepEndsTheTrainingWithItsBatchAndWeights) {
  for (const int64_t step : {0, 3, 4, 6, 13}) {
    expect_the_same_ending({[=](LinearTask& t) { t.broken_step = step; }}, true);
    expect_the_same_ending({[=](LinearTask& t) { t.steep_step = step; }}, true);
  }
}

TEST(UnreadDevice, ALossThatRunsAwayEndsTheTraining) {
  expect_the_same_ending({.options =
                              [](LoopOptions& o) {
                                o.optimiser.kind = schema::OptimiserKind::kSgd;
                                o.optimiser.lr = 10;
                              }},
                         true);
}

TEST(UnreadDevice, AStopSavesTheStepThatIsDone) {
  for (const int64_t step : {1, 2, 3, 5}) expect_the_same_ending({.stop_after = step}, true);
}

}  // namespace
}  // namespace xp::train
