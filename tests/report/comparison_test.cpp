#include "core/report/comparison.h"

#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/report/words.h"
#include "tests/report/workspace.h"

namespace xp::report {
namespace {

using ::testing::ElementsAre;
using testing_workspace::Made;
using testing_workspace::param;
using testing_workspace::Workspace;

std::vector<std::string> labels(const Comparison& comparison) {
  std::vector<std::string> out;
  for (const Group& group : comparison.groups) out.push_back(group.label);
  return out;
}

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Comparison, GroupsSeedsAndSortsValuesAsNumbers) {
  Workspace workspace;
  for (const int64_t r : {16, 0, 8}) {
    for (const int64_t seed : {0, 1, 2})
      workspace.run(r, seed, 0.5 - 0.001 * static_cast<double>(r + seed));
  }
  auto query = workspace.query();
  const Comparison out = compare(query, {});
  EXPECT_EQ(out.title, "experiment exp");
  EXPECT_THAT(out.keys, ElementsAre("tome.r"));
  EXPECT_THAT(labels(out), ElementsAre("tome.r = 0", "tome.r = 8", "tome.r = 16"));
  const Group& last = out.groups.back();
  EXPECT_EQ(last.estimates[0].n, 3);
  EXPECT_NEAR(last.estimates[0].mean, 0.483, 1e-12);
  EXPECT_NEAR(last.estimates[0].deviation, 0.001, 1e-12);
  EXPECT_EQ(last.contrasts[0].kind, Contrast::Kind::kPaired);
  EXPECT_NEAR(last.contrasts[0].difference, -0.016, 1e-12);
  EXPECT_TRUE(last.contrasts[0].measurable());
}

TEST(Comparison, PlainReportTakesTheNewestSweepElseTheNewestExperiment) {
  Workspace workspace;
  Made made;
  made.finals = {{"mAP", 0.1}};
  made.name = "old";
  workspace.add(made);
  made.name = "new";
  workspace.add(made);
  {
    auto query = workspace.query();
    EXPECT_EQ(compare(query, {}).title, "experiment new");
  }
  made.sweep = "01SWEEPAAAAAAAAAAAAAAAAAAA";
  workspace.add(made);
  made.sweep = "";
  workspace.add(made);
  auto query = workspace.query();
  const Comparison out = compare(query, {});
  EXPECT_EQ(out.title, "sweep AAAAAAAA");
  EXPECT_EQ(out.runs.size(), 1U);
}

TEST(Comparison, ABrokenRunHidesNoOther) {
  Workspace workspace;
  Made made;
  made.finals = {{"mAP", 0.1}};
  made.name = "whole";
  workspace.add(made);
  made.name = "broken";
  const std::string uid = workspace.add(made);
  std::ofstream(workspace.folder() / ".exp/runs" / uid / "run.db") << std::string(5000, 'x');
  auto query = workspace.query();
  EXPECT_EQ(compare(query, {}).title, "experiment whole");
}

TEST(Comparison, IdenticalRunsHaveNoDifference) {
  Workspace workspace;
  const std::string a = workspace.run(8, 0, 0.4), b = workspace.run(8, 0, 0.4);
  auto query = workspace.query();
  Request request;
  request.targets = {a, b};
  const Comparison out = compare(query, request);
  EXPECT_TRUE(out.same());
  EXPECT_EQ(out.groups.size(), 2U);
  EXPECT_EQ(plain_words(out), "no difference");
}

TEST(Comparison, NamedRunsKeepTheirOrder) {
  Workspace workspace;
  const std::string a = workspace.run(8, 0, 0.4), b = workspace.run(0, 0, 0.5);
  auto query = workspace.query();
  Request request;
  request.targets = {a, b};
  EXPECT_THAT(labels(compare(query, request)), ElementsAre("tome.r = 8", "tome.r = 0"));
}

TEST(Comparison, ARunAgainWithTheSameSeedIsNotASecondSeed) {
  Workspace workspace;
  workspace.run(8, 0, 0.3);
  workspace.run(8, 0, 0.4);
  workspace.run(0, 0, 0.5);
  auto query = workspace.query();
  const Comparison out = compare(query, {});
  EXPECT_EQ(out.runs.size(), 2U);
  EXPECT_THAT(out.notes, ElementsAre("1 older run of a configuration and seed that ran again is "
                                     "left out"));
  EXPECT_EQ(out.groups.back().estimates[0].mean, 0.4);
}

TEST(Comparison, APinnedKeyCountsAsItsPlainOneWhereItIsNotPinned) {
  Workspace workspace;
  Made made;
  made.finals = {{"mAP", 0.1}};
  made.params = {param("tome.r", int64_t{24}), param("stages.eval2.with.tome.r", int64_t{0})};
  workspace.add(made);
  made.params = {param("tome.r", int64_t{0})};
  workspace.add(made);
  auto query = workspace.query();
  EXPECT_THAT(compare(query, {}).keys, ElementsAre("tome.r"));
}

TEST(Comparison, AKeyThatItsKindBringsAlongIsNotADifference) {
  Workspace workspace;
  Made made;
  made.finals = {{"mAP", 0.1}};
  made.params = {param("sampler.kind", "shuffle")};
  workspace.add(made);
  made.params = {param("sampler.kind", "ast_balanced"), param("sampler.count_offset", 0.01)};
  workspace.add(made);
  {
    auto query = workspace.query();
    EXPECT_THAT(compare(query, {}).keys, ElementsAre("sampler.kind"));
  }
  made.params = {param("sampler.kind", "ast_balanced"), param("sampler.count_offset", 100.0)};
  workspace.add(made);
  auto query = workspace.query();
  EXPECT_THAT(compare(query, {}).keys, ElementsAre("sampler.count_offset", "sampler.kind"));
}

TEST(Comparison, RunsWithoutAMetricAreLeftOutAndSaidSo) {
  Workspace workspace;
  workspace.run(0, 0, 0.5);
  Made made;
  made.done = false;
  made.params = {param("tome.r", int64_t{8})};
  workspace.add(made);
  auto query = workspace.query();
  const Comparison out = compare(query, {});
  EXPECT_EQ(out.runs.size(), 1U);
  EXPECT_THAT(out.notes, ElementsAre("runs left out, for they have no such metric: 1 failed"));
}

TEST(Comparison, OneSeedIsBoundedByTheEvaluationsClips) {
  Workspace workspace;
  for (const int64_t r : {0, 8}) {
    Made made;
    made.params = {param("tome.r", r), param("experiment.seed", int64_t{0})};
    made.finals = {{"acc", r == 0 ? 0.80 : 0.78}, {"acc_lo", 0.70}, {"acc_hi", 0.88}};
    workspace.add(made);
  }
  auto query = workspace.query();
  const Comparison out = compare(query, {});
  ASSERT_EQ(out.metrics.size(), 1U);
  EXPECT_TRUE(out.groups[1].estimates[0].of_clips);
  const Contrast& contrast = out.groups[1].contrasts[0];
  EXPECT_EQ(contrast.kind, Contrast::Kind::kClips);
  EXPECT_FALSE(contrast.measurable());
  // -0.02 - sqrt(0.08^2 + 0.08^2)
  EXPECT_NEAR(contrast.interval.low, -0.02 - 0.1131371, 1e-6);
  EXPECT_EQ(plain_words(out),
            "tome.r = 8 against tome.r = 0: -0.020 acc (no measurable effect). One seed each: "
            "intervals are over clips or folds and say nothing of other seeds.");
}

TEST(Comparison, MetricsByNameOrLastPartAndAGuessForOthers) {
  Workspace workspace;
  workspace.run(0, 0, 0.5, 100);
  auto query = workspace.query();
  Request request;
  request.metrics = {"clips_per_s"};
  EXPECT_EQ(compare(query, request).metrics.front().name, "eval.clips_per_s");
  request.metrics = {"eval.mAPP"};
  EXPECT_EQ(error_of([&] { compare(query, request); }),
            "no run here has the metric 'eval.mAPP'; did you mean 'eval.mAP'?; `exp runs --keys` "
            "lists them");
  request.metrics.clear();
  request.targets = {"tome.r>9"};
  EXPECT_EQ(error_of([&] { compare(query, request); }), "no run matches 'tome.r>9'");
}

TEST(Comparison, TestSplitChoicesAreMarked) {
  Workspace workspace;
  Made made;
  made.finals = {{"mAP", 0.1}};
  made.params = {param("eval.split", std::string("test")), param("tome.r", int64_t{0})};
  workspace.add(made);
  {
    auto query = workspace.query();
    EXPECT_EQ(compare(query, {}).selected_on_test, "");  // nothing is chosen among one
  }
  made.params[1].value = int64_t{8};
  workspace.add(made);
  auto query = workspace.query();
  EXPECT_THAT(compare(query, {}).selected_on_test, ::testing::StartsWith("selected on test: "));
}

TEST(Comparison, WordsOfASweepAreComputed) {
  Workspace workspace;
  const double maps[] = {0.400, 0.401, 0.399, 0.370, 0.300};
  for (int64_t i = 0; i < 5; ++i) {
    for (const int64_t seed : {0, 1, 2}) {
      const double shift = 0.001 * static_cast<double>(seed + (i * seed) % 2);
      workspace.run(i * 8, seed, maps[i] + shift, 100.0 * static_cast<double>(2 + i));
    }
  }
  auto query = workspace.query();
  EXPECT_EQ(plain_words(compare(query, {})),
            "tome.r = 16 is 2.00x faster than 0 at -0.001 mAP; beyond 16 mAP falls off "
            "(-0.1 mAP at 32).");
}

// A value that was not measured is no value that costs nothing, or too much.
TEST(Comparison, WordsOfASweepNameWhatWasNotMeasured) {
  const auto words = [](const std::vector<int64_t>& unmeasured) {
    Workspace workspace;
    for (const int64_t r : {0, 8, 16, 24}) {
      Made made;
      made.params = {param("tome.r", r), param("experiment.seed", int64_t{0})};
      made.finals = {{"clips_per_s", 100.0 + static_cast<double>(r)}};
      if (std::find(unmeasured.begin(), unmeasured.end(), r) == unmeasured.end())
        made.finals.emplace_back("mAP", r < 16 ? 0.4 : 0.3);
      workspace.add(made);
    }
    auto query = workspace.query();
    const std::string text = plain_words(compare(query, {}));
    return text.substr(0, text.find(" One seed each"));
  };
  EXPECT_EQ(words({0}), "tome.r = 0, which the others are held against, has no mAP.");
  EXPECT_EQ(words({24}),
            "tome.r = 8 is 1.08x faster than 0 at +0 mAP; beyond 8 mAP falls off (-0.1 mAP at "
            "16) (no mAP of 24).");
  EXPECT_EQ(words({16}),
            "tome.r = 8 is 1.08x faster than 0 at +0 mAP; beyond 8 mAP falls off (-0.1 mAP at "
            "24) (no mAP of 16).");
  EXPECT_EQ(words({8, 16, 24}), "no value of tome.r but 0 has mAP (no mAP of 8, 16, 24).");
}

}  // namespace
}  // namespace xp::report
