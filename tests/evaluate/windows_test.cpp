#include "core/evaluate/windows.h"

#include <gtest/gtest.h>

namespace xp::evaluate {
namespace {

TEST(Windows, CoverTheClipAndAreOfOneLength) {
  const Windows windows = Windows::of(0.5, 0, 16000);
  EXPECT_EQ(windows.starts_in(8000), std::vector<int64_t>{0});
  EXPECT_EQ(windows.length_in(5000), 5000);
  EXPECT_EQ(windows.starts_in(12000), (std::vector<int64_t>{0, 4000}));
  EXPECT_EQ(windows.starts_in(12001), (std::vector<int64_t>{0, 4000, 4001}));
  EXPECT_EQ(Windows::of(0.5, 3, 16000).hop, 8000);
  EXPECT_EQ(Windows::of(0, 0, 16000).starts_in(99), std::vector<int64_t>{0});
  EXPECT_EQ(Windows::of(0, 0, 16000).length_in(99), 99);
}

}  // namespace
}  // namespace xp::evaluate
