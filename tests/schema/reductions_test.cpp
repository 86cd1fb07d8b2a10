#include "core/schema/reductions.h"

#include <gtest/gtest.h>

namespace xp::schema {
namespace {

std::vector<BlockTokens> plan_of(int64_t r) {
  TomeOptions tome;
  tome.r.value = r;
  Arch arch;
  arch.dim = 768;
  arch.depth = 12;
  arch.heads = 12;
  return token_plan({.tome = tome}, arch, 1214, 2);
}

TEST(TokenPlan, TomeClampsAtHalf) {
  EXPECT_EQ(plan_of(16).back().left, 1022);
  EXPECT_EQ(plan_of(40).back().left, 734);
  EXPECT_EQ(plan_of(64).back().left, 446);
  const std::vector<BlockTokens> most = plan_of(96);
  EXPECT_EQ(most.back().left, 80);
  EXPECT_EQ(most.back().attended - most.back().left, 78);
  EXPECT_TRUE(most.back().clamped);
  EXPECT_FALSE(most.front().clamped);
}

TEST(TokenPlan, FlopsOfMatchingOnlyWhereBlocksMerge) {
  for (const BlockTokens& block : plan_of(0)) EXPECT_EQ(block.flop, 0);
  const BlockTokens first = plan_of(16).front();
  EXPECT_EQ(first.flop, 2.0 * 607 * 607 * 64);
}

TEST(Tome, Plans) {
  TomeOptions tome;
  tome.r.value = 16;
  tome.inflection = -1.0;
  EXPECT_EQ(tome.plan(5), (std::vector<int64_t>{32, 24, 16, 8, 0}));
  tome.inflection = 1.0;
  EXPECT_EQ(tome.plan(5), (std::vector<int64_t>{0, 8, 16, 24, 32}));
  TomeOptions list;
  list.r = {true, 0, {3, 1}};
  EXPECT_EQ(list.plan(4), (std::vector<int64_t>{3, 1, 0, 0}));
}

TEST(Reductions, NamesAreThoseOfTheSections) {
  const auto names = reducer_sections();
  size_t next = 0;
  const auto all = Reductions::made_by(
      []<class Options>(std::type_identity<Options>) { return std::optional<Options>(Options()); });
  all.each([&](std::string_view name, const auto& options) {
    EXPECT_EQ(name, std::decay_t<decltype(options)>::kSection);
    EXPECT_EQ(name, names.at(next++));
    EXPECT_FALSE(options.any()) << "off by default";
  });
  EXPECT_EQ(next, names.size());
  EXPECT_FALSE(all.any());
}

}  // namespace
}  // namespace xp::schema
