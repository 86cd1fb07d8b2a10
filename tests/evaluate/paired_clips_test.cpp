#include "core/evaluate/paired_clips.h"

#include <set>
#include <stdexcept>

#include <gtest/gtest.h>

namespace xp::evaluate {
namespace {

/// `n` clips of two classes in turn; the first `right` of them are scored well.
ScoreFile scored(int64_t n, int64_t right) {
  ScoreFile out;
  out.width = 2;
  for (int64_t i = 0; i < n; ++i) {
    const bool first = i % 2 == 0;
    out.ids.push_back("clip" + std::to_string(i));
    out.targets.insert(out.targets.end(), {first ? 1.0F : 0.0F, first ? 0.0F : 1.0F});
    const float score = first == (i < right) ? 1.0F : -1.0F;
    out.values.insert(out.values.end(), {score, -score});
  }
  return out;
}

const std::set<std::string> kAll = {"acc", "mAP", "auc"};

void nothing() {}

TEST(PairedClips, ADifferenceHasTheIntervalAndPOfItsClips) {
  const auto found = paired_clips(scored(100, 90), scored(100, 80), kAll, nothing);
  // Ten clips are right on one side alone: 2 * 0.5^10. Their share of a resample is binomial, with
  // a deviation of sqrt(0.1 * 0.9 / 100).
  EXPECT_NEAR(found.at("acc_difference_p"), 2.0 / 1024, 1e-12);
  EXPECT_NEAR(found.at("acc_difference_lo"), 0.1 - 1.96 * 0.03, 0.015);
  EXPECT_NEAR(found.at("acc_difference_hi"), 0.1 + 1.96 * 0.03, 0.015);
  for (const char* leaf : {"mAP", "auc"}) {
    EXPECT_GT(found.at(std::string(leaf) + "_difference_lo"), 0) << leaf;
    EXPECT_LT(found.at(std::string(leaf) + "_difference_p"), 0.01) << leaf;
  }
}

TEST(PairedClips, TheSameScoresDoNotDiffer) {
  const auto found = paired_clips(scored(50, 40), scored(50, 40), kAll, nothing);
  ASSERT_EQ(found.size(), 9U);
  for (const auto& [leaf, value] : found)
    EXPECT_EQ(value, leaf.ends_with("_p") ? 1.0 : 0.0) << leaf;
}

TEST(PairedClips, ClassesWithoutPositivesHaveNoPrecision) {
  ScoreFile silent = scored(20, 10);
  for (float& target : silent.targets) target = 0;
  const auto found = paired_clips(silent, silent, kAll, nothing);
  EXPECT_EQ(found.count("mAP_difference_lo"), 0U);
  EXPECT_EQ(found.count("acc_difference_lo"), 1U);
}

TEST(PairedClips, OnlyTheSameClipsArePaired) {
  const ScoreFile one = scored(10, 5);
  EXPECT_EQ(why_not_paired(one, scored(10, 7)), "");
  EXPECT_EQ(why_not_paired(one, scored(11, 5)), "they are not of the same clips");
  ScoreFile others = one;
  others.targets.front() = 0;
  EXPECT_EQ(why_not_paired(one, others), "their targets differ");
  ScoreFile judged = one;
  judged.mask.assign(judged.targets.size(), 1.0F);
  EXPECT_EQ(why_not_paired(one, judged), "their targets differ");
  ScoreFile unlabelled = one;
  unlabelled.targets.clear();
  EXPECT_EQ(why_not_paired(unlabelled, unlabelled), "their targets differ");
}

TEST(PairedClips, AStopEndsIt) {
  int left = 5;
  EXPECT_THROW(paired_clips(scored(10, 5), scored(10, 5), kAll,
                            [&left] {
                              if (--left == 0) throw std::runtime_error("stop");
                            }),
               std::runtime_error);
}

}  // namespace
}  // namespace xp::evaluate
