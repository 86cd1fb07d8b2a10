// Scores, embeddings and speed of a model on a device beside the CPU's.
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/evaluate/bench.h"
#include "core/evaluate/embed.h"
#include "core/evaluate/predict.h"
#include "core/model/registry.h"
#include "tests/train/device_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

class PredictOn : public OnDevice {
 protected:
  static constexpr double kClose = 5e-4;  // the front end is another on devices
  static constexpr int64_t kFrames = 64;

  static void expect_close(const at::Tensor& got, const at::Tensor& want, const std::string& what) {
    const double apart = (got - want).abs().max().item<double>();
    std::cout << what << ": " << apart << " of " << kClose << "\n";
    EXPECT_LE(apart, kClose) << what;
  }

  static std::unique_ptr<model::Model> network(at::Device device) {
    auto network = model::make_model(
        {.options = plain().model, .geometry = {32, kFrames}, .classes = 3, .seed = 1});
    network->to(device);
    network->require_grad(false);
    return network;
  }

  /// One pass with two ways to merge, of clips as they are and in windows, in fp32 and bf16.
  static void expect_the_cpus_scores(at::Device device) {
    tracker::NullSink null;
    const batches::Clips clips = batches::open_clips(stage("predict", null), small_set());
    const std::vector<uint32_t> rows = clips.rows("val");
    const frontend::Frontend front(small_frontend(), {});
    const auto here = network(at::kCPU), there = network(device);
    schema::Reductions merging;
    merging.tome.emplace().r.value = 2;
    const std::vector<evaluate::Reduced> ways{{model::Reducers{}},
                                              {model::make_reducers(merging, here->depth())}};
    for (const double window_s : {0.0, 0.3}) {
      evaluate::PredictOptions how;
      how.batch_size = 5;
      how.window_s = window_s;
      const auto want =
          evaluate::predict_each({here.get()}, ways, front, small_frontend(), clips, rows, how);
      how.device = device;
      const auto got =
          evaluate::predict_each({there.get()}, ways, front, small_frontend(), clips, rows, how);
      for (size_t way = 0; way < ways.size(); ++way) {
        expect_close(got[way].logits, want[way].logits,
                     fmt::format("windows of {} s, way {}", window_s, way));
        EXPECT_TRUE(at::equal(got[way].targets, want[way].targets));
      }
      how.precision = schema::Precision::kBf16;
      how.embeddings = true;
      const auto halves =
          evaluate::predict({there.get()}, front, small_frontend(), clips, rows, how);
      EXPECT_TRUE(halves.embeddings.isfinite().all().item<bool>());
    }
  }

  static void expect_the_cpus_embeddings(at::Device device) {
    const auto here = network(at::kCPU), there = network(device);
    evaluate::EmbedSettings settings;
    settings.rate_hz = small_frontend().rate_hz;
    settings.longest_ms = 300;
    settings.scene_hop_ms = 100;
    settings.window_ms = 200;
    settings.hop_ms = 100;
    const frontend::Frontend front(small_frontend(), {});
    const evaluate::Embedder on_cpu(front, *here, settings, at::kCPU);
    const evaluate::Embedder on_device(front, *there, settings, device);
    const at::Tensor waves = at::sin(at::arange(32000).view({2, 16000}) * 0.05) * 0.3;
    const evaluate::Sound sound = evaluate::Sound::of(waves);
    expect_close(on_device.scene(sound), on_cpu.scene(sound), "scene");
    expect_close(on_device.timestamps(sound).values, on_cpu.timestamps(sound).values, "times");
  }

  static void expect_a_speed(at::Device device) {
    const auto there = network(device);
    evaluate::BenchOptions options;
    options.batch = 2;
    options.reps = 2;
    options.warm_up = 1;
    const auto values = evaluate::bench(*there, {32, kFrames}, device, options);
    for (const char* metric : {"clips_per_s", "latency_p50_ms", "gflop", "params_m"})
      EXPECT_GT(values.at(metric), 0) << metric;
  }
};

class PredictDevice : public PredictOn {};
class PredictGpu : public PredictOn {};

TEST_F(PredictDevice, GivesTheCpusScores) { expect_the_cpus_scores(testing::pretend_device()); }
TEST_F(PredictDevice, GivesTheCpusEmbeddings) {
  expect_the_cpus_embeddings(testing::pretend_device());
}
TEST_F(PredictDevice, MeasuresItsSpeed) { expect_a_speed(testing::pretend_device()); }

TEST_F(PredictGpu, GivesTheCpusScores) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  expect_the_cpus_scores(first_gpu());
}
TEST_F(PredictGpu, GivesTheCpusEmbeddings) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  expect_the_cpus_embeddings(first_gpu());
}
TEST_F(PredictGpu, MeasuresItsSpeed) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU here";
  expect_a_speed(first_gpu());
}

}  // namespace
}  // namespace xp::train
