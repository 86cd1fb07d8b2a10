#include "tracker/series.h"

#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tracker/schema.h"

namespace xp::tracker {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<double> odd_values() {
  return {0.0,
          -0.0,
          1.5,
          kNan,
          -kNan,
          std::bit_cast<double>(uint64_t{0x7FF0000000000001}),
          kInf,
          -kInf,
          std::numeric_limits<double>::denorm_min(),
          std::numeric_limits<double>::max(),
          0.1,
          3.0,
          1e300};
}

MetricRow metric_of(const sql::Database& db, const std::string& name) {
  for (const MetricRow& metric : read_metrics(db)) {
    if (metric.name == name) return metric;
  }
  return {};
}

TEST(Series, EveryBitOfAValueIsKept) {
  for (const Grain grain : {Grain::kStep, Grain::kEpoch, Grain::kFinal, Grain::kTime}) {
    SCOPED_TRACE(text(grain));
    sql::Database db = sql::Database::memory(kRunSchema);
    SeriesWriter writer(db);
    const int64_t id = writer.metric("loss", "train", Unit::kNone, grain);
    const std::vector<double> values = odd_values();
    for (size_t i = 0; i < values.size(); ++i)
      writer.add(id, 1, 0, {static_cast<int64_t>(i), 7, values[i], 0});
    writer.write();
    const MetricRow metric = metric_of(db, "train.loss");
    EXPECT_EQ(metric.grain, grain);
    const std::vector<Point> points = shown(read_points(db, metric, 0, nullptr), grain, {});
    ASSERT_EQ(points.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(std::bit_cast<uint64_t>(points[i].value), std::bit_cast<uint64_t>(values[i])) << i;
      EXPECT_EQ(points[i].time_ns, 7);
    }
    auto row = db.prepare(
        "SELECT n, nans, first_nan_step, last, last_bits, last_step, min, min_step, max, max_step "
        "FROM summary");
    ASSERT_TRUE(row.step());
    const MetricSummary summary = read_summary(row, 0);
    EXPECT_EQ(summary.n, static_cast<int64_t>(values.size()));
    EXPECT_EQ(summary.nans, 3);
    EXPECT_EQ(summary.first_nan_step, 3);
    EXPECT_EQ(summary.last, 1e300);
    EXPECT_EQ(summary.min, -kInf);
    EXPECT_EQ(summary.max, kInf);
    EXPECT_EQ(summary.max_step, 6);
  }
}

TEST(Series, BlocksHoldAtMost256PointsAndAnOpenOneGrowsInPlace) {
  sql::Database db = sql::Database::memory(kRunSchema);
  SeriesWriter writer(db);
  const int64_t id = writer.metric("loss", "", Unit::kNone, Grain::kStep);
  for (int i = 0; i < 600; ++i) {
    writer.add(id, 1, 0, {i, i, 0.5 * i, 0});
    if (i % 10 == 0) writer.write();
  }
  writer.write();
  auto rows =
      db.prepare("SELECT seq, n, step_min, step_max, vmin, vmax, t0_ns FROM chunk ORDER BY seq");
  const int64_t want[3][4] = {{0, 256, 0, 255}, {1, 256, 256, 511}, {2, 88, 512, 599}};
  for (const auto& line : want) {
    ASSERT_TRUE(rows.step());
    for (int c = 0; c < 4; ++c) EXPECT_EQ(rows.integer(c), line[c]);
    EXPECT_EQ(rows.real(4), 0.5 * static_cast<double>(line[2]));
    EXPECT_EQ(rows.integer(6), line[2]);
  }
  EXPECT_FALSE(rows.step());
}

TEST(Series, WriterMadeAnewGoesOnWithSummariesAndNewBlocks) {
  sql::Database db = sql::Database::memory(kRunSchema);
  for (int part = 0; part < 3; ++part) {
    SeriesWriter writer(db);
    const int64_t id = writer.metric("loss", "", Unit::kNone, Grain::kStep);
    for (int i = 0; i < 10; ++i) writer.add(id, 1, 0, {part * 10 + i, 0, 1.0 * (part * 10 + i), 0});
    writer.write();
  }
  const MetricRow metric = metric_of(db, "loss");
  EXPECT_EQ(read_points(db, metric, 0, nullptr).size(), 30u);
  auto row = db.prepare("SELECT n, last, min, max FROM summary");
  ASSERT_TRUE(row.step());
  EXPECT_EQ(row.integer(0), 30);
  EXPECT_EQ(row.real(1), 29);
  EXPECT_EQ(row.real(2), 0);
  EXPECT_EQ(row.real(3), 29);
}

TEST(Series, NewestAttemptWinsAndCutsHide) {
  struct Case {
    const char* name;
    Grain grain;
    std::vector<Cut> cuts;
    std::vector<int64_t> steps;
    std::vector<double> values;
  };
  // Attempt 1 has steps 1..5 with values 1..5, attempt 2 steps 3, 4 with 30, 40.
  const Case cases[] = {
      {"without a cut each step once", Grain::kStep, {}, {1, 2, 3, 4, 5}, {1, 2, 30, 40, 5}},
      {"resumed from step 2", Grain::kStep, {{2, 2, 0}}, {1, 2, 3, 4}, {1, 2, 30, 40}},
      {"begun anew", Grain::kStep, {{2, -1, -1}}, {3, 4}, {30, 40}},
      {"epochs go by epochs", Grain::kEpoch, {{2, 100, 1}}, {1, 3, 4}, {1, 30, 40}},
      {"a third attempt cuts both", Grain::kStep, {{2, 2, 0}, {3, 3, 0}}, {1, 2, 3}, {1, 2, 30}},
      {"time is never cut", Grain::kTime, {{2, -1, -1}}, {1, 2, 3, 4, 5}, {1, 2, 30, 40, 5}},
      {"final values of a stage begun anew", Grain::kFinal, {{2, 2, 2}}, {3, 4}, {30, 40}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::vector<Point> points;
    for (int i = 1; i <= 5; ++i) points.push_back({i, 0, 1.0 * i, 1});
    points.push_back({3, 0, 30, 2});
    points.push_back({4, 0, 40, 2});
    std::vector<int64_t> steps;
    std::vector<double> values;
    for (const Point& point : shown(points, c.grain, c.cuts)) {
      steps.push_back(point.step);
      values.push_back(point.value);
    }
    EXPECT_EQ(steps, c.steps);
    EXPECT_EQ(values, c.values);
  }
}

TEST(Series, DamagedBlockIsNamedAndTheOthersAreRead) {
  sql::Database db = sql::Database::memory(kRunSchema);
  SeriesWriter writer(db);
  const int64_t id = writer.metric("loss", "", Unit::kNone, Grain::kStep);
  for (int i = 0; i < 300; ++i) writer.add(id, 1, 0, {i, 0, 0, 0});
  writer.write();
  db.exec("UPDATE chunk SET crc = crc + 1 WHERE seq = 0");
  std::vector<std::string> warnings;
  EXPECT_EQ(read_points(db, metric_of(db, "loss"), 0, &warnings).size(), 44u);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0],
            ":memory:: metric 'loss', attempt 1, block 0: a block of 256 points has a wrong "
            "checksum; its points are "
            "left out");
  EXPECT_THROW(read_points(db, metric_of(db, "loss"), 0, nullptr), Error);
}

TEST(Chunk, SizeAndChecksumAreChecked) {
  Columns columns;
  columns.add(1, 2, 0.5);
  const auto data = encode_chunk(columns);
  EXPECT_EQ(data.size(), 24u);
  EXPECT_EQ(decode_chunk(data, 1, crc32_of(data)).value[0], 0.5);
  EXPECT_THROW(decode_chunk(data, 2, crc32_of(data)), Error);
  EXPECT_THROW(decode_chunk(data, 1, crc32_of(data) ^ 1), Error);
  EXPECT_EQ(decode_chunk({}, 0, crc32_of({})).size(), 0u);
  const char digits[] = "123456789";
  EXPECT_EQ(crc32_of(std::as_bytes(std::span(digits, 9))), 0xCBF43926u)
      << "the check value of CRC-32";
}

}  // namespace
}  // namespace xp::tracker
