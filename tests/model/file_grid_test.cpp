// Rows and columns of a position embedding that a file holds as a list.
#include "core/model/files/file_grid.h"

#include <gtest/gtest.h>

namespace xp::model {
namespace {

using schema::Grid;

/// A list of a training at these sizes, for a model of the same bins and strides and `frames`.
PatchList list_of(int64_t bins, int64_t stride, int64_t frames, int64_t model_frames) {
  const Grid grid{schema::patches_along(bins, 16, stride),
                  schema::patches_along(frames, 16, stride)};
  PatchList list;
  list.count = grid.count();
  list.model = {grid.f, schema::patches_along(model_frames, 16, stride)};
  list.stride_f = stride;
  list.bins = bins;
  return list;
}

std::string fault_of(const PatchList& list) {
  std::string fault;
  EXPECT_EQ(grid_of_list(list, fault), std::nullopt);
  return fault;
}

TEST(FileGrid, FollowsFromBinsAndStrides) {
  std::string fault;
  for (const int64_t bins : {40, 64, 80, 128}) {
    for (const int64_t stride : {8, 10, 12, 14, 16}) {
      for (int64_t frames = 40; frames <= 2048; frames += 12) {
        const Grid want{schema::patches_along(bins, 16, stride),
                        schema::patches_along(frames, 16, stride)};
        for (const int64_t model_frames : {frames, int64_t{1024}, int64_t{100}}) {
          EXPECT_EQ(grid_of_list(list_of(bins, stride, frames, model_frames), fault), want)
              << bins << " bins, stride " << stride << ", " << frames << " frames: " << fault;
        }
      }
    }
  }
}

TEST(FileGrid, OnlyAnImageIsASquare) {
  PatchList list = list_of(128, 10, 280, 1024);  // 12 x 27 is 18 x 18
  std::string fault;
  EXPECT_EQ(grid_of_list(list, fault), (Grid{12, 27}));
  list.image = true;
  EXPECT_EQ(grid_of_list(list, fault), (Grid{18, 18}));
  list.count = 12 * 28;
  EXPECT_TRUE(fault_of(list).starts_with(
      "its position embedding has 336 patches, no square as an image's; say which by"));
}

TEST(FileGrid, WhatWasSaidSettlesIt) {
  PatchList list = list_of(128, 10, 490, 1024);
  list.said = Grid{8, 72};
  std::string fault;
  EXPECT_EQ(grid_of_list(list, fault), (Grid{8, 72}));
  list.said = Grid{8, 71};
  EXPECT_EQ(fault_of(list), "its position embedding has 576 patches, not 8 x 71");
}

TEST(FileGrid, WhatFitsTwoTrainingsIsRefused) {
  PatchList list = list_of(128, 10, 490, 1024);  // 12 x 48
  list.strides_assumed = true;
  EXPECT_EQ(
      fault_of(list),
      "its position embedding has 576 patches: 12 x 48 (128 bins, stride 10) or 9 x 64 (128 "
      "bins, stride 14) or 8 x 72 (128 bins, stride 16); say which by the strides and bins that it "
      "was trained with: model.fstride and model.tstride (--fstride and --tstride), "
      "frontend.mel_bins; or, where the model has others, by model.weights_fstride and "
      "model.weights_mel_bins, or outright by model.weights_grid = [rows, columns] (--set "
      "model.weights_grid=[12,101])");
  // The model's own frames settle it, and so does a length that no other training divides.
  std::string fault;
  list.model.t = 48;
  EXPECT_EQ(grid_of_list(list, fault), (Grid{12, 48}));
  list = list_of(128, 10, 1024, 490);  // AST's own 12 x 101
  list.strides_assumed = true;
  EXPECT_EQ(grid_of_list(list, fault), (Grid{12, 101}));
}

TEST(FileGrid, StridesThatDoNotFitAreNotStretched) {
  PatchList list = list_of(128, 16, 1024, 1024);  // 8 x 64
  list.model = {12, 101};
  list.stride_f = 10;
  const std::string given = fault_of(list);
  EXPECT_TRUE(given.starts_with(
      "its position embedding has 512 patches, which 12 rows (128 bins, stride 10) do not divide; "
      "say which by the strides and bins"))
      << given;
  list.strides_assumed = true;
  EXPECT_TRUE(fault_of(list).starts_with(
      "its position embedding has 512 patches: 8 x 64 (128 bins, stride 16); say which by "));
}

TEST(FileGrid, StridesOfTheFileGiveItsRows) {
  // A model of stride 10 takes files of every other training of the originals.
  for (const int64_t bins : {64, 128}) {
    for (const int64_t stride : {10, 12, 14, 16}) {
      for (int64_t frames = 40; frames <= 1024; frames += 24) {
        PatchList list = list_of(bins, stride, frames, frames);
        const Grid want = list.model;
        list.model = {};
        std::string fault;
        EXPECT_EQ(grid_of_list(list, fault), want) << fault;
        list.bins = 0;
        list.said = want;
        EXPECT_EQ(grid_of_list(list, fault), want) << fault;
      }
    }
  }
}

TEST(FileGrid, OtherBinsCountWithTheirOwnColumns) {
  PatchList list = list_of(64, 16, 1024, 1024);  // 4 x 64, which 8 rows divide too
  list.bins = 128;
  list.bins_assumed = true;
  list.model = {8, 64};
  EXPECT_TRUE(fault_of(list).find("8 x 32 (128 bins, stride 16) or 4 x 64 (64 bins, stride 16)") !=
              std::string::npos);
  std::string fault;
  list.model = {8, 18};  // 300 frames: neither of them, and 128 bins are what the model has
  EXPECT_EQ(grid_of_list(list, fault), (Grid{8, 32}));
  list.frames_assumed = true;
  EXPECT_FALSE(fault_of(list).empty());
}

}  // namespace
}  // namespace xp::model
