#include "core/train/passes.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace xp::train {
namespace {

/// The passes of all ranks; empty where they are refused.
std::vector<std::vector<ClipRange>> of_ranks(PassOptions options) {
  std::vector<std::vector<ClipRange>> all;
  for (options.rank = 0; options.rank < options.world; ++options.rank) {
    try {
      all.push_back(passes(options));
    } catch (const Error&) {
      return {};
    }
  }
  return all;
}

/// Most clips of one group that one rank has.
int64_t largest_part(const PassOptions& o) {
  std::map<std::pair<int64_t, int>, int64_t> parts;
  int64_t most = 0;
  for (int rank = 0; rank < o.world; ++rank)
    for (int64_t i = o.clips * rank / o.world; i < o.clips * (rank + 1) / o.world; ++i)
      most = std::max(most, ++parts[{i / o.norm_group, rank}]);
  return most;
}

/// Each clip is in one pass, passes are as small as asked, and those of a group have one number.
void expect_whole(const PassOptions& o, const std::vector<std::vector<ClipRange>>& ranks) {
  std::map<int64_t, std::set<size_t>> numbers;
  for (int rank = 0; rank < o.world; ++rank) {
    const auto& ranges = ranks[static_cast<size_t>(rank)];
    ASSERT_FALSE(ranges.empty());
    if (o.norm_group > 0) {
      EXPECT_EQ(ranges.size(), ranks[0].size());
    }
    const int64_t begin = o.clips * rank / o.world;
    int64_t next = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
      EXPECT_EQ(ranges[i].first, next);
      if (o.micro_batch > 0) {
        EXPECT_LE(ranges[i].count, o.micro_batch);
      }
      for (int64_t clip = 0; clip < ranges[i].count && o.norm_group > 0; ++clip)
        numbers[(begin + next + clip) / o.norm_group].insert(i);
      next += ranges[i].count;
    }
    EXPECT_EQ(next, o.clips * (rank + 1) / o.world - begin);
  }
  for (const auto& [group, used] : numbers) EXPECT_EQ(used.size(), 1U) << "group " << group;
}

TEST(Passes, GroupsAreWholeOrRefused) {
  int made = 0, refused = 0;
  for (int world = 1; world <= 4; ++world)
    for (int64_t clips = 1; clips <= 12; ++clips)
      for (int64_t micro = 0; micro <= 6; ++micro)
        for (int64_t group = 0; group <= 7; ++group) {
          SCOPED_TRACE(::testing::Message()
                       << world << " ranks, " << clips << " clips, micro batch " << micro
                       << ", group " << group);
          const PassOptions options{clips, 0, world, micro, group};
          const auto ranks = of_ranks(options);
          const bool split = micro > 0 && group > 0 && largest_part(options) > micro;
          EXPECT_EQ(ranks.empty(), split);
          (ranks.empty() ? refused : made) += 1;
          if (!ranks.empty()) expect_whole(options, ranks);
        }
  std::cout << made << " batches are made, " << refused << " would split a group\n";
}

}  // namespace
}  // namespace xp::train
