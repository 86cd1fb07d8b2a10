#include "core/schema/memory.h"

#include <gtest/gtest.h>

#include "core/schema/cost.h"

namespace xp::schema {
namespace {

TrainStageOptions ast_training() {
  TrainStageOptions out;
  out.model.arch = "ast-base384";
  out.frontend.frames = 1024;
  out.train.batch_size = 32;
  out.optimiser = OptimiserOptions::of_kind(OptimiserKind::kAdamw);
  return out;
}

TrainingMemory memory_of(const TrainStageOptions& options, int64_t micro_batch = 0,
                         int64_t devices = 1) {
  return training_memory(options, micro_batch, devices, 527);
}

TEST(TrainingMemory, StateIsCopiesOfTheParameters) {
  TrainStageOptions options = ast_training();
  const TrainingMemory adam = memory_of(options);
  EXPECT_EQ(adam.parameters,
            transformer_cost(options.model, {}, input_geometry(options.frontend), 527).parameters);
  EXPECT_EQ(adam.state_bytes, 16u * static_cast<uint64_t>(adam.parameters));
  options.optimiser = OptimiserOptions::of_kind(OptimiserKind::kSgd);
  EXPECT_EQ(memory_of(options).state_bytes, adam.state_bytes / 2);
  options.optimiser.momentum = 0.9;
  EXPECT_EQ(memory_of(options).state_bytes, adam.state_bytes / 4 * 3);
  options.averaging = AveragingOptions::of_kind(AveragingKind::kEma);
  EXPECT_EQ(memory_of(options).state_bytes, adam.state_bytes);
}

TEST(TrainingMemory, GrowsWithClipsAndTokensAlone) {
  TrainStageOptions options = ast_training();
  const TrainingMemory whole = memory_of(options);
  EXPECT_EQ(whole.clips, 32);
  EXPECT_EQ(memory_of(options, 4).clips, 4);
  EXPECT_EQ(memory_of(options, 4, 2).clips, 8) << "each device has as many";
  EXPECT_EQ(memory_of(options, 4, 20).clips, 32) << "no more than the batch has";
  EXPECT_EQ(memory_of(options, 4).clip_bytes, whole.clip_bytes);
  EXPECT_EQ(whole.bytes(2) - whole.bytes(1), whole.state_bytes);

  options.tome.emplace().r.value = 96;
  const TrainingMemory merged = memory_of(options);
  EXPECT_LT(merged.clip_bytes, whole.clip_bytes);
  options.tome.reset();
  options.patchout.emplace().t = 50;
  EXPECT_LT(memory_of(options).clip_bytes, whole.clip_bytes);
  options.patchout.reset();
  options.train.activation_checkpointing = true;
  EXPECT_LT(memory_of(options).clip_bytes, whole.clip_bytes / 4);
  options.train.activation_checkpointing = false;
  options.train.precision = Precision::kBf16;
  EXPECT_EQ(memory_of(options).clip_bytes, whole.clip_bytes / 2);
  options.train.precision = Precision::kFp32;
  options.model.freeze_blocks = 6;
  EXPECT_EQ(memory_of(options).clip_bytes, whole.clip_bytes / 2);
}

TEST(TrainingMemory, CnnsAreCountedByTheirState) {
  TrainStageOptions options = ast_training();
  options.model = ModelOptions{};
  options.model.arch = "mn10";
  EXPECT_GT(memory_of(options).state_bytes, 16u * 3'000'000);
  EXPECT_EQ(memory_of(options).clip_bytes, 0u);
}

}  // namespace
}  // namespace xp::schema
