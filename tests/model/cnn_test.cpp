// What holds for the CNNs beyond their originals' outputs.
#include <array>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/model/mn.h"

namespace xp::model {
namespace {

TEST(Cnn, WithoutPositionsClipsCountFromZero) {
  const Mn model(MnOptions{}, Init(1));
  const at::Tensor mel = Init(2).normal("mel", {2, 128, 64}, 1).detach();
  const auto logits = [&](std::span<const int64_t> positions) {
    ForwardContext context;
    context.training = true;
    context.positions = positions;
    return model.forward(mel, context).logits;
  };
  constexpr std::array<int64_t, 2> kFirst{0, 1};
  constexpr std::array<int64_t, 2> kOthers{7, 8};
  EXPECT_TRUE(at::equal(logits({}), logits(kFirst)));
  EXPECT_FALSE(at::equal(logits({}), logits(kOthers))) << "dropout belongs to the clip";
}

// Convolutions between layouts cost a third of a training step.
TEST(Cnn, MapsOnTheCpuKeepChannelsLast) {
  const Mn model(MnOptions{}, Init(1));
  for (const at::Tensor& map : model.stages(Init(2).normal("mel", {2, 128, 64}, 1).detach()))
    EXPECT_TRUE(map.is_contiguous(at::MemoryFormat::ChannelsLast)) << map.sizes();
}

}  // namespace
}  // namespace xp::model
