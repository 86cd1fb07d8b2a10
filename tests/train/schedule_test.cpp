#include "core/train/schedule.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

TEST(Schedule, EpochsCountOnWhereTheirLengthChanges) {
  schema::ScheduleOptions options;
  options.kind = schema::ScheduleKind::kStep;
  options.first_epoch = 2;
  options.factor = 0.5;
  Schedule before(options, 0.01, 3);
  EXPECT_DOUBLE_EQ(before.lr(5), 0.01);
  Schedule after(options, 0.01, 9);
  after.load(before.state());
  after.go_on(2, 6);  // two epochs of three steps are done
  EXPECT_DOUBLE_EQ(after.lr(6), 0.005) << "as after two epochs";
  EXPECT_DOUBLE_EQ(after.lr(6 + 8), 0.005);
  EXPECT_DOUBLE_EQ(after.lr(6 + 9), 0.0025);
  Schedule again(options, 0.01, 9);
  again.load(after.state());
  again.go_on(3, 15);  // a resume in the third epoch's end
  EXPECT_DOUBLE_EQ(again.lr(15), 0.0025);
  EXPECT_DOUBLE_EQ(again.lr(14), 0.005);

  options.kind = schema::ScheduleKind::kCosine;
  options.warmup_epochs = 0;
  options.down_from_epoch = 0;
  options.down_epochs = 4;
  Schedule cosine(options, 0.01, 9);
  cosine.go_on(2, 6);
  EXPECT_DOUBLE_EQ(cosine.lr(6), 0.01 * cosine_factor(2, 0, 0, 4, options.last_factor));
}

TEST(Schedule, TheFallFollowsTheWarmUpAndEndsWithTheTraining) {
  auto options = schema::ScheduleOptions::of_kind(schema::ScheduleKind::kCosine);
  options.warmup_epochs = 3;
  options.down_epochs = 7;
  constexpr int64_t kSteps = 5;
  const Schedule schedule(options, 0.01, kSteps);
  const int64_t top = 3 * kSteps - 1, end = 10 * kSteps - 1;
  for (int64_t step = 1; step <= end; ++step) {
    if (step <= top) {
      EXPECT_GT(schedule.lr(step), schedule.lr(step - 1)) << step;
    } else {
      EXPECT_LT(schedule.lr(step), schedule.lr(step - 1)) << step;
    }
  }
  EXPECT_DOUBLE_EQ(schedule.lr(top), 0.01);
  EXPECT_DOUBLE_EQ(schedule.lr(end), 0.01 * options.last_factor);
  EXPECT_DOUBLE_EQ(schedule.lr(end + kSteps), 0.01 * options.last_factor);

  schema::ScheduleOptions said = options;
  said.down_from_epoch = 3;
  const Schedule explicitly(said, 0.01, kSteps);
  for (int64_t step = 0; step <= end; ++step)
    EXPECT_EQ(schedule.lr(step), explicitly.lr(step)) << step;

  schema::ScheduleOptions overlapping = options;
  overlapping.down_from_epoch = 0;
  EXPECT_LT(Schedule(overlapping, 0.01, kSteps).lr(top), 0.01);
}

TEST(Schedule, TheStaircaseIsAWarmUpToo) {
  auto options = schema::ScheduleOptions::of_kind(schema::ScheduleKind::kCosine);
  options.warmup_steps = 20;
  options.warmup_every_steps = 1;
  options.down_epochs = 6;
  const Schedule schedule(options, 0.01, 5);
  EXPECT_DOUBLE_EQ(schedule.lr(20), 0.01);
  EXPECT_LT(schedule.lr(21), 0.01);
  EXPECT_DOUBLE_EQ(schedule.lr(50), 0.01 * options.last_factor);
  EXPECT_GT(schedule.lr(49), 0.01 * options.last_factor);
}

}  // namespace
}  // namespace xp::train
