#include "core/model/reduce/merge_picture.h"

#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace xp::model {
namespace {

/// 2 x 2 patches of 4 x 4; the two of the lower row merged into token 2, the others are tokens 3
/// and 4.
Output merged() {
  Output output;
  output.grid = {2, 2};
  output.places = at::arange(4, at::kLong).unsqueeze(0);
  output.source = at::tensor({0, 1, 2, 2, 3, 4}, at::kLong).unsqueeze(0);
  return output;
}

TEST(MergePicture, ColoursWhatMerged) {
  const at::Tensor mel = at::zeros({8, 8});
  mel[0][0] = 1;
  const Picture picture = merge_picture(mel, merged(), 0, {4, 4, 4, 4}, 1);
  ASSERT_EQ(picture.width, 8);
  ASSERT_EQ(picture.height, 8);
  const auto pixel = [&](int64_t bin, int64_t frame) {
    const auto* p = &picture.rgb[static_cast<size_t>(((7 - bin) * 8 + frame) * 3)];
    return std::array<int, 3>{p[0], p[1], p[2]};
  };
  EXPECT_EQ(pixel(6, 2), (std::array<int, 3>{0, 0, 0}));  // alone: the spectrogram in grey
  EXPECT_EQ(pixel(1, 2), pixel(1, 6));                    // merged: one colour
  EXPECT_NE(pixel(1, 2), pixel(6, 2));
  EXPECT_NE(pixel(3, 2), pixel(1, 2));  // outline towards the upper row
}

TEST(MergePicture, DroppedPatchesStayGrey) {
  Output output = merged();
  output.places = at::tensor({0, 3}, at::kLong).unsqueeze(0);
  output.source = at::tensor({0, 1, 2, 2}, at::kLong).unsqueeze(0);
  const Picture picture = merge_picture(at::zeros({8, 8}), output, 0, {4, 4, 4, 4}, 1);
  std::set<std::array<uint8_t, 3>> inside;
  for (int64_t y = 1; y < 3; ++y) {  // patch (1, 0): upper left
    const auto* p = &picture.rgb[static_cast<size_t>((y * 8 + 1) * 3)];
    inside.insert({p[0], p[1], p[2]});
  }
  EXPECT_EQ(inside, (std::set<std::array<uint8_t, 3>>{{0, 0, 0}}));
}

}  // namespace
}  // namespace xp::model
