#include "core/metric/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/metric/scored.h"
#include "tests/testing/temp_dir.h"

namespace xp::metric {
namespace {

/// 60 clips of 5 classes whose scores tell something of their labels.
struct Split {
  static constexpr int64_t kRows = 60, kClasses = 5;
  std::vector<float> scores, targets;

  Split() {
    for (int64_t i = 0; i < kRows; ++i) {
      for (int64_t k = 0; k < kClasses; ++k) {
        targets.push_back(i % kClasses == k ? 1.0F : 0.0F);
        scores.push_back(static_cast<float>((i * 37 + k * 11) % 23) + 9 * targets.back());
      }
    }
  }
  Table table() const { return {scores, targets, {}, kRows, kClasses}; }
};

std::vector<const Metric*> of_clips() {
  std::vector<const Metric*> out;
  for (const Metric& line : table())
    if (line.compute != nullptr) out.push_back(&line);
  return out;
}

TEST(Metrics, EveryLineSaysWhatItIs) {
  std::set<std::string_view> names;
  std::set<int> ranks;
  for (const Metric& line : table()) {
    EXPECT_TRUE(names.insert(line.name).second) << line.name << " has two lines";
    EXPECT_EQ(line.name.find_first_of("./"), std::string_view::npos) << line.name;
    EXPECT_EQ(without_endings(line.name), line.name) << "reads as another metric's";
    EXPECT_FALSE(line.help.empty()) << line.name;
    EXPECT_NE(line.of, 0U) << line.name << " is made by nobody";
    EXPECT_TRUE(line.rank == 0 || ranks.insert(line.rank).second) << line.name << ": rank taken";
    EXPECT_EQ((line.of & Of::kValidation) != 0 && line.name != "loss", line.compute != nullptr)
        << line.name << ": validation computes what a function of scored clips computes";
    EXPECT_EQ(find(line.name), &line);
  }
}

TEST(Metrics, EveryLineOfScoredClipsIsComputed) {
  const Split split;
  const Scored scored(split.table());
  const std::vector<float> once(Split::kRows, 1.0F);
  ASSERT_FALSE(of_clips().empty());
  for (const Metric* line : of_clips()) {
    const double value = line->compute(scored, {});
    EXPECT_TRUE(std::isfinite(value)) << line->name;
    if (line->unit == Unit::kFraction) {
      EXPECT_GE(value, 0) << line->name;
      EXPECT_LE(value, 1) << line->name;
    }
    const Metric* asked = find(line->asked);
    ASSERT_NE(asked, nullptr) << line->name;
    EXPECT_EQ(asked->asked, line->asked) << line->name << " comes along with what cannot be asked";
    if (line->bounds == Bounds::kNone) continue;
    EXPECT_NEAR(line->compute(scored, once), value, 1e-12) << line->name << ": each clip once";
  }
}

// A metric is of the clips, whatever their order; a clip that counts twice is there twice, one that
// counts 0 is not there.
TEST(Metrics, CountsAreCopiesAndOrderIsNothing) {
  const Split split;
  const Scored scored(split.table());
  Split turned, copied;
  std::vector<float> counts(Split::kRows, 1.0F);
  constexpr auto kWidth = static_cast<std::ptrdiff_t>(Split::kClasses);
  for (auto* values : {&turned.scores, &turned.targets})
    std::rotate(values->begin(), values->begin() + 7 * kWidth, values->end());
  for (const std::ptrdiff_t row : {3, 17, 41}) {
    counts[static_cast<size_t>(row)] = 2;
    counts[static_cast<size_t>(row) + 1] = 0;
    for (auto* values : {&copied.scores, &copied.targets})
      std::copy_n(values->begin() + row * kWidth, kWidth, values->begin() + (row + 1) * kWidth);
  }
  const Scored other(turned.table()), resampled(copied.table());
  for (const Metric* line : of_clips()) {
    EXPECT_NEAR(line->compute(other, {}), line->compute(scored, {}), 1e-12) << line->name;
    if (line->bounds == Bounds::kNone) continue;
    EXPECT_NEAR(line->compute(resampled, {}), line->compute(scored, counts), 1e-12) << line->name;
  }
}

TEST(Metrics, AShareIsTheMeanOfItsRightClips) {
  const Split split;
  const Scored scored(split.table());
  double hits = 0;
  for (const float right : scored.correct()) hits += right;
  for (const Metric* line : of_clips()) {
    if (line->bounds != Bounds::kShare) continue;
    EXPECT_EQ(line->compute(scored, {}), hits / static_cast<double>(Split::kRows)) << line->name;
  }
}

TEST(Metrics, NamesLeadToTheirLines) {
  EXPECT_EQ(find("eval.mAP")->name, "mAP");
  EXPECT_EQ(find("train.val.acc")->name, "acc");
  EXPECT_EQ(find("mean.acc_difference_lo")->name, "acc");
  EXPECT_EQ(find("eval.ap//m/09x0r")->name, "ap");
  EXPECT_EQ(find("train.train.grad_norm/blocks.0")->name, "grad_norm");
  EXPECT_EQ(find("eval.no_tome/clips_per_s")->name, "clips_per_s");
  EXPECT_EQ(find("eval.nothing"), nullptr);
  EXPECT_EQ(unit_of("eval.no_tome/gflop"), Unit::kGflop);
  EXPECT_EQ(unit_of("mean.best_mean_epoch/acc"), Unit::kFraction);
  EXPECT_EQ(unit_of("mean.best_mean_epoch/acc_epoch"), Unit::kCount);
  EXPECT_EQ(better("eval.ap/m_0"), Better::kHigher);
  EXPECT_EQ(better("train.train.loss"), Better::kLower);
  EXPECT_EQ(better("mean.acc_difference"), Better::kUnknown) << "of what minus what";
}

TEST(Metrics, DetailsAreThoseOfAnother) {
  for (const char* name :
       {"eval.acc_lo", "eval.acc_hi", "mean.acc_std", "mean.acc_difference_p", "eval.ap/m_0",
        "eval.no_tome/clips_per_s", "eval.mAP_classes", "eval.cpu_wait_p", "teach.rows"})
    EXPECT_TRUE(is_detail(name)) << name;
  for (const char* name : {"eval.acc", "mean.acc_difference", "train.best_epoch", "eval.unheard"})
    EXPECT_FALSE(is_detail(name)) << name;
  EXPECT_LT(rank_of("eval.loss"), rank_of("eval.clips_per_s"));
  EXPECT_LT(rank_of("eval.gflop"), rank_of("train.lr"));
  EXPECT_EQ(rank_of("train.lr"), rank_of("eval.unheard"));
}

std::string names_in(const Metric& line) {
  const std::pair<uint32_t, const char*> ways[] = {
      {Of::kScores | Of::kSpeed | Of::kTraining | Of::kClips | Of::kTimed | Of::kReported, "{}"},
      {Of::kPerClass, "{}/CLASS_ID"},
      {Of::kValidation | Of::kMasked, "val.{}"},
      {Of::kSteps | Of::kEpochs, "train.{}"},
      {Of::kPerGroup, "train.{}/GROUP"}};
  std::string out;
  for (const auto& [of, pattern] : ways)
    if ((line.of & of) != 0)
      out += fmt::format("{}`{}`", out.empty() ? "" : ", ",
                         fmt::format(fmt::runtime(pattern), line.name));
  return out;
}

/// The table of docs/metrics.md.
std::string page_table() {
  const std::map<Better, const char*> directions = {
      {Better::kHigher, "higher"}, {Better::kLower, "lower"}, {Better::kUnknown, ""}};
  std::string out = "| name | unit | better | is |\n| --- | --- | --- | --- |\n";
  for (const Metric& line : table())
    out += fmt::format("| {} | {} | {} | {} |\n", names_in(line), text(line.unit),
                       directions.at(line.better), line.help);
  return out;
}

// XP_WRITE_GOLDEN=1 (make docs) writes the page's table anew.
TEST(Metrics, ThePageIsTheTable) {
  const auto file = testing::source_dir() / "docs/metrics.md";
  constexpr std::string_view kBegin = "<!-- core/metric/metrics.inc -->\n", kEnd = "<!-- end -->\n";
  std::string page = read_file(file);
  const size_t begin = page.find(kBegin), end = page.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t at = begin + kBegin.size();
  if (!testing::env("XP_WRITE_GOLDEN").empty())
    write_file_atomic(file, page.replace(at, end - at, page_table()));
  else
    EXPECT_EQ(page.substr(at, end - at), page_table()) << "run: make docs";
}

}  // namespace
}  // namespace xp::metric
