// How often a step and an evaluation batch wait for the device: a change of these numbers is to be
// seen in review.
#include <functional>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "core/evaluate/predict.h"
#include "core/frontend/frontend.h"
#include "core/model/registry.h"
#include "tests/train/device_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;

/// Waits, and copies from memory that is not pinned.
using Waits = std::pair<int64_t, int64_t>;

class WaitsDevice : public OnDevice {
 protected:
  static testing::DeviceWork work_of(const std::function<void()>& work) {
    const testing::DeviceWork before = testing::device_work();
    work();
    return testing::device_work() - before;
  }
  static Waits waits(const testing::DeviceWork& more, const testing::DeviceWork& less,
                     int64_t times) {
    const testing::DeviceWork work = more - less;
    EXPECT_EQ(work.waits % times, 0);
    EXPECT_EQ(work.pageable % times, 0);
    return {work.waits / times, work.pageable / times};
  }

  /// Of one step that is not logged: what a training of six has beyond one of four.
  static Waits of_a_step(const DeviceCase& c) {
    const at::Device device = testing::pretend_device();
    const auto training = [&](int64_t steps) {
      return work_of([&] { train(c, device, steps, c.name + " " + std::to_string(steps)); });
    };
    const testing::DeviceWork four = training(4);
    return waits(training(6), four, 2);
  }
};

TEST_F(WaitsDevice, OfAStep) {
  const std::set<std::string> names{"plain",
                                    "clip_norm",
                                    "micro_batch",
                                    "fp16",
                                    "ema",
                                    "merging",
                                    "own_lengths",
                                    "dropout",
                                    "drop_path",
                                    "spec_augment",
                                    "spec_mix",
                                    "noise_and_roll",
                                    "passt",
                                    "mn",
                                    "patchout_per_clip",
                                    "distillation",
                                    "masked_pretraining",
                                    "distillation_of_mixed_clips"};
  size_t seen = 0;
  for (const DeviceCase& c : device_cases()) {
    if (names.count(c.name) == 0) continue;
    ++seen;
    EXPECT_EQ(of_a_step(c), Waits(0, 0)) << c.name;
  }
  EXPECT_EQ(seen, names.size());
}

TEST_F(WaitsDevice, OfAStepThatIsLogged) {
  DeviceCase c;
  c.name = "logged";
  c.change = [](schema::TrainStageOptions& o) {
    o.train.log_every_steps = 1;
    o.optimiser.layer_decay = 0.5;  // a norm a layer
  };
  EXPECT_EQ(of_a_step(c), Waits(1, 0));
}

TEST_F(WaitsDevice, OfAnEvaluationBatch) {
  const at::Device device = testing::pretend_device();
  tracker::NullSink null;
  const batches::Clips clips = batches::open_clips(stage("predict", null), small_set());
  const std::vector<uint32_t> rows = clips.rows("train");
  const frontend::Frontend front(small_frontend(), {});
  const auto network =
      model::make_model({.options = plain().model, .geometry = {32, 64}, .classes = 3, .seed = 1});
  network->to(device);
  network->require_grad(false);
  const auto of_batches = [&](int64_t batches, double window_s) {
    return work_of([&] {
      evaluate::PredictOptions how;
      how.batch_size = 4;
      how.window_s = window_s;
      how.device = device;
      evaluate::predict({network.get()}, front, small_frontend(), clips,
                        {rows.begin(), rows.begin() + 4 * batches}, how);
    });
  };
  of_batches(1, 0);  // tables of the front end go to the device
  EXPECT_EQ(waits(of_batches(5, 0), of_batches(3, 0), 2), Waits(0, 0));
  EXPECT_EQ(waits(of_batches(5, 0.3), of_batches(3, 0.3), 2), Waits(0, 0)) << "in windows";
}

}  // namespace
}  // namespace xp::train
