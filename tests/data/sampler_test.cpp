#include "data/sampler.h"

#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/schema/sampler.h"
#include "tests/testing/fixtures.h"

namespace xp::data {
namespace {

using schema::SamplerKind;

/// Labels of clips as owned arrays.
struct Table {
  std::vector<uint64_t> start = {0};
  std::vector<int32_t> index;
  std::vector<float> value;
  std::vector<uint32_t> rows;
  int64_t classes;

  explicit Table(int64_t k) : classes(k) {}
  void add(std::initializer_list<int32_t> labels) {
    for (const int32_t l : labels) {
      index.push_back(l);
      value.push_back(1);
    }
    rows.push_back(static_cast<uint32_t>(start.size() - 1));
    start.push_back(index.size());
  }
  LabelTable view() const { return {start, index, value, classes}; }
};

/// 3 classes with 60, 30 and 10 clips; every tenth clip has two labels.
Table skewed() {
  Table table(3);
  for (int32_t i = 0; i < 100; ++i) {
    const int32_t k = i < 60 ? 0 : i < 90 ? 1 : 2;
    if (i % 10 == 0 && k != 2) {
      table.add({k, 2});
    } else {
      table.add({k});
    }
  }
  return table;
}

schema::SamplerOptions options(SamplerKind kind, int64_t draws = 0) {
  auto o = schema::SamplerOptions::of_kind(kind);
  o.draws = draws;
  return o;
}

std::vector<int64_t> all(const EpochOrder& order) {
  std::vector<int64_t> out;
  for (int64_t p = 0; p < order.size(); ++p) out.push_back(order.at(p));
  return out;
}

/// Pearson's statistic of counts against expected ones.
double chi_square(const std::vector<double>& counts, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i)
    sum += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
  return sum;
}

/// The 99.9 % point of chi-square with k degrees of freedom (Wilson and Hilferty 1931).
double chi_square_limit(double k) {
  const double z = 3.0902;
  return k * std::pow(1 - 2 / (9 * k) + z * std::sqrt(2 / (9 * k)), 3);
}

TEST(Sampler, PureFunctionOfSeedAndEpoch) {
  const Table table = skewed();
  for (const auto kind :
       {SamplerKind::kSequential, SamplerKind::kShuffle, SamplerKind::kAstBalanced,
        SamplerKind::kImportance, SamplerKind::kClassBalanced}) {
    SCOPED_TRACE(recipe::enum_name(kind));
    const Sampler a(options(kind), table.view(), table.rows, 5);
    const Sampler b(options(kind), table.view(), table.rows, 5);
    const Sampler other(options(kind), table.view(), table.rows, 6);
    EXPECT_EQ(all(a.epoch(3)), all(b.epoch(3)));
    if (kind != SamplerKind::kSequential) {
      EXPECT_NE(all(a.epoch(3)), all(a.epoch(4)));
      EXPECT_NE(all(a.epoch(3)), all(other.epoch(3)));
    }
    // Asking for a position alone gives what asking for all gives: that is resuming.
    EXPECT_EQ(a.epoch(3).at(50), all(b.epoch(3))[50]);
  }
}

TEST(Sampler, ShuffleIsAPermutationAndGoesOnBeyondTheSet) {
  const Table table = skewed();
  const auto once =
      all(Sampler(options(SamplerKind::kShuffle), table.view(), table.rows, 1).epoch(0));
  EXPECT_EQ(std::set<int64_t>(once.begin(), once.end()).size(), 100U);
  const auto more =
      all(Sampler(options(SamplerKind::kShuffle, 250), table.view(), table.rows, 1).epoch(0));
  ASSERT_EQ(more.size(), 250U);
  EXPECT_EQ(std::set<int64_t>(more.begin() + 100, more.begin() + 200).size(), 100U);
  EXPECT_EQ(std::set<int64_t>(more.begin() + 200, more.end()).size(), 50U);
}

TEST(Sampler, ShufflePutsEveryClipEverywhereEquallyOften) {
  Table table(1);
  for (int i = 0; i < 8; ++i) table.add({0});
  const Sampler sampler(options(SamplerKind::kShuffle), table.view(), table.rows, 2);
  std::vector<double> counts(64, 0);
  for (int64_t e = 0; e < 4000; ++e) {
    const EpochOrder order = sampler.epoch(e);
    for (int64_t p = 0; p < 8; ++p) ++counts[static_cast<size_t>(8 * p + order.at(p))];
  }
  EXPECT_LT(chi_square(counts, std::vector<double>(64, 500)), chi_square_limit(49));
}

TEST(Sampler, AstBalancedFollowsItsWeights) {
  const Table table = skewed();
  const int64_t draws = 50000;
  const Sampler sampler(options(SamplerKind::kAstBalanced, draws), table.view(), table.rows, 3);
  const auto weights = sample_weights(table.view(), table.rows, 0.01, false);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> expected;
  for (const double w : weights) expected.push_back(w / total * static_cast<double>(draws));
  std::vector<double> counts(100, 0);
  for (const int64_t i : all(sampler.epoch(0))) ++counts[static_cast<size_t>(i)];
  EXPECT_LT(chi_square(counts, expected), chi_square_limit(99));
}

TEST(Sampler, ImportanceDrawsWithoutReplacementByWeight) {
  const Table table = skewed();
  const Sampler sampler(options(SamplerKind::kImportance, 20), table.view(), table.rows, 4);
  const auto weights = sample_weights(table.view(), table.rows, 100, false);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> first(100, 0);
  const int64_t epochs = 30000;
  for (int64_t e = 0; e < epochs; ++e) {
    const auto drawn = all(sampler.epoch(e));
    if (e < 100) {
      ASSERT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 20U);
    }
    ++first[static_cast<size_t>(drawn[0])];
  }
  std::vector<double> expected;
  for (const double w : weights) expected.push_back(w / total * static_cast<double>(epochs));
  EXPECT_LT(chi_square(first, expected), chi_square_limit(99));
  EXPECT_EQ(Sampler(options(SamplerKind::kImportance, 1000), table.view(), table.rows, 4).draws(),
            100);
}

TEST(Sampler, ClassBalancedGivesEveryClassItsShare) {
  const Table table = skewed();
  const Sampler sampler(options(SamplerKind::kClassBalanced, 30000), table.view(), table.rows, 5);
  // Expected: a third by class, spread over the class's clips.
  const auto sizes = class_counts(table.view(), table.rows);
  std::vector<double> expected(100, 0);
  for (uint32_t row = 0; row < 100; ++row) {
    for (const int32_t k : table.view().of(row))
      expected[row] += 10000.0 / static_cast<double>(sizes[static_cast<size_t>(k)]);
  }
  std::vector<double> counts(100, 0);
  for (const int64_t i : all(sampler.epoch(0))) ++counts[static_cast<size_t>(i)];
  EXPECT_LT(chi_square(counts, expected), chi_square_limit(99));
}

TEST(Sampler, EmptySplitSaysSo) {
  const Table table = skewed();
  try {
    const Sampler sampler(options(SamplerKind::kShuffle), table.view(), {}, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "there is no clip to draw from: the split is empty");
  }
}

int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t pages = 0;
  in >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

TEST(SamplerIntegration, TwoMillionClipsCostAtMost16BytesEach) {
  constexpr int64_t kClips = 2'000'000;
  Table table(527);
  Rng rng(1, "test");
  for (int64_t i = 0; i < kClips; ++i)
    table.add({static_cast<int32_t>(rng.below(527)), static_cast<int32_t>(rng.below(527))});
  for (const auto kind : {SamplerKind::kShuffle, SamplerKind::kAstBalanced,
                          SamplerKind::kClassBalanced, SamplerKind::kImportance}) {
    SCOPED_TRACE(recipe::enum_name(kind));
    const Sampler sampler(options(kind), table.view(), table.rows, 5);
    const int64_t before = resident_bytes();
    const EpochOrder order = sampler.epoch(0);
    int64_t sum = 0;
    const int64_t at_start = resident_bytes();
    for (int64_t p = 0; p < 20'000; ++p) sum += order.at(p);
    const int64_t after_20k = resident_bytes();
    for (int64_t p = 20'000; p < 100'000; ++p) sum += order.at(p);
    const int64_t after_100k = resident_bytes();
    EXPECT_GT(sum, 0);
    EXPECT_LT(at_start - before, 16 * kClips);
    EXPECT_LT(std::abs(after_100k - after_20k), 8'000'000);
  }
}

TEST(SampleWeightsParity, Fixtures) {
  xp::testing::expect_parity(
      {"train/sample_weights"},
      {{"train/sample_weights", [](const xp::testing::Case& c, xp::testing::Report& report) {
          const auto& y = c.at("input/y");
          Table table(y.shape[1]);
          for (int64_t i = 0; i < y.shape[0]; ++i) {
            table.add({});
            for (int32_t k = 0; k < y.shape[1]; ++k) {
              if (y.i64[static_cast<size_t>(i * y.shape[1] + k)] == 0) continue;
              table.index.push_back(k);
              table.value.push_back(1);
            }
            table.start.back() = table.index.size();
          }
          report.compare("output/ast", sample_weights(table.view(), table.rows, 0.01, false));
          report.compare("output/passt", sample_weights(table.view(), table.rows, 100, false));
        }}});
}

}  // namespace
}  // namespace xp::data
