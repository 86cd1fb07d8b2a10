// How often a step and an evaluation batch wait for the device: a change of these numbers is to be
// seen in review.
#include <functional>
#include <map>
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
  const std::map<std::string, Waits> pinned{
      {"plain", {2, 1}},
      {"clip_norm", {3, 1}},
      {"micro_batch", {3, 1}},
      {"fp16", {2, 1}},
      {"recompute", {2, 1}},
      {"merging", {2, 1}},
      {"own_lengths", {2, 1}},
      {"patchout_per_clip", {4, 1}},
      {"dropout", {9, 1}},
      {"drop_path", {4, 1}},
      {"spec_augment", {2, 3}},
      {"noise_and_roll", {2, 3}},
      {"spec_mix", {2, 5}},
      {"wave_mix", {2, 1}},
      {"passt", {3, 1}},
      {"mn", {3, 1}},
      {"distillation", {9, 1}},
      {"distillation_of_mixed_clips", {13, 9}},
      {"masked_pretraining", {7, 1}},
  };
  std::map<std::string, Waits> found;
  for (const DeviceCase& c : device_cases())
    if (pinned.count(c.name) > 0) found[c.name] = of_a_step(c);
  EXPECT_EQ(found, pinned);
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
  EXPECT_EQ(waits(of_batches(5, 0), of_batches(3, 0), 2), Waits(1, 1));
  EXPECT_EQ(waits(of_batches(5, 0.3), of_batches(3, 0.3), 2), Waits(1, 3)) << "in windows";
}

}  // namespace
}  // namespace xp::train
