// docs/formats/tracker.md: its Python reader is run as it stands there, its tables are those of the
// schema.
#include <bit>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace {

std::string page() { return read_file(testing::source_dir() / "docs/formats/tracker.md"); }

std::string python_reader() {
  const std::string text = page();
  const size_t from = text.find("```python\nimport sqlite3, struct") + 10;
  return text.substr(from, text.find("```", from) - from);
}

TEST(TrackerFormat, PythonReaderOfTheDocsReadsEveryBit) {
  const testing::TempDir dir;
  Store store(dir / ".exp");
  auto run = store.create(testing_runs::sample("x", 0), testing_runs::quiet());
  const std::string uid = run->uid();
  const auto log = [&](tracker::Run& to, int64_t from, int64_t until, double factor) {
    auto stage = to.begin_stage("train", "train", "k", {});
    if (from > 1) stage->resumed(from - 1, 1);
    const MetricId loss = stage->metric("loss", Unit::kNone);
    const MetricId map = stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch);
    for (int64_t step = from; step <= until; ++step)
      stage->log(loss, step, factor / static_cast<double>(step));
    stage->log(map, 1, std::nan(""));
    stage->log(map, 2, -0.0);
    stage->log(map, 3, 0.1 * factor);
  };
  log(*run, 1, 700, 1);
  run->finish(Outcome::kPreempted, "", "", 75);
  run = store.resume(uid, testing_runs::sample("x", 0), testing_runs::quiet());
  log(*run, 601, 650, 3);
  run->finish(Outcome::kDone, "", "", 0);

  std::ofstream(dir / "read.py") << python_reader() << R"(
import sys
for name in ("train.loss", "train.val.mAP"):
    for step, time, value in read_metric(sys.argv[1], name):
        print(name, step, struct.pack(">d", value).hex())
)";
  const auto read = testing::shell(fmt::format("python3 '{}' '{}'", (dir / "read.py").string(),
                                               (store.run_folder(uid) / "run.db").string()));
  ASSERT_EQ(read.code, 0) << read.text;
  std::string want;
  Query query(dir / ".exp");
  for (const char* name : {"train.loss", "train.val.mAP"}) {
    for (const Point& point : query.curve(uid, name).points) {
      want +=
          fmt::format("{} {} {:016x}\n", name, point.step, std::bit_cast<uint64_t>(point.value));
    }
  }
  EXPECT_EQ(read.text, want);
  EXPECT_EQ(query.curve(uid, "train.loss").points.size(), 650u);
}

TEST(TrackerFormatIntegration, PandasTableOfTheDocs) {
  const std::string_view given = testing::env("EXP_TRACKER_PYTHON");
  const std::string python = given.empty() ? "python3" : std::string(given);
  if (testing::shell(python + " -c 'import pandas'").code != 0)
    GTEST_SKIP() << "no pandas (EXP_TRACKER_PYTHON)";
  const testing::TempDir dir;
  Store store(dir / ".exp");
  testing_runs::finished_run(store, "x", 1, 0.25);
  const std::string uid = testing_runs::finished_run(store, "x", 2, 0.5);
  EXPECT_EQ(Query(dir / ".exp").runs({}).size(), 2u);
  const std::string text = page();
  const size_t from = text.find("```python\nimport pandas") + 10;
  std::ofstream(dir / "table.py") << text.substr(from, text.find("```", from) - from);
  const auto read =
      testing::shell(fmt::format("cd '{}' && {} table.py", dir.path().string(), python));
  EXPECT_EQ(read.code, 0) << read.text;
  EXPECT_LT(read.text.find(uid), read.text.rfind("0.25")) << read.text;
}

/// Runs with everything that the questions of the page ask for.
std::string fill(const std::filesystem::path& workspace) {
  Store store(workspace / ".exp");
  std::string uid;
  for (const int64_t r : {0, 8}) {
    auto run = store.create(testing_runs::sample("x", r), testing_runs::quiet());
    auto train = run->begin_stage("train", "train", "t", {});
    const MetricId map = train->metric("val.mAP", Unit::kFraction, Grain::kEpoch);
    for (int epoch = 1; epoch <= 2; ++epoch) train->log(map, epoch, 0.125 * epoch);
    auto eval = run->begin_stage("eval", "evaluate", "e", {});
    eval->summary("mAP", 0.5 - 0.03125 * static_cast<double>(r), Unit::kFraction);
    eval->summary("clips_per_s", 100.0 + static_cast<double>(r), Unit::kPerSecond);
    run->finish(Outcome::kDone, "", "", 0);
    uid = run->uid();
  }
  EXPECT_EQ(Query(workspace / ".exp").runs({}).size(), 2U);  // and the index is there
  return uid;
}

/// Answers of Python's sqlite3, which every Python has, a row a line.
testing::Shell ask(const std::filesystem::path& folder, const std::filesystem::path& database,
                   const std::string& sql) {
  std::ofstream(folder / "ask.sql") << sql;
  std::ofstream(folder / "ask.py") << R"(import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for row in db.execute(open(sys.argv[2]).read()):
    print(*row)
)";
  return testing::shell(
      fmt::format("cd '{}' && python3 ask.py '{}' ask.sql", folder.string(), database.string()));
}

TEST(TrackerFormatIntegration, QuestionsOfTheDocsAreAnswered) {
  const testing::TempDir dir;
  const std::string uid = fill(dir.path());
  const std::filesystem::path index = dir / ".exp/index.db",
                              run = dir / ".exp/runs" / uid / "run.db";
  const std::string text = page();
  std::vector<std::string> answers;
  for (size_t at = text.find("```sql\n"); at != std::string::npos; at = text.find("```sql\n", at)) {
    at += 7;
    const std::string sql = text.substr(at, text.find("```", at) - at);
    const bool of_index = sql.starts_with("-- index.db: ");
    ASSERT_TRUE(of_index || sql.starts_with("-- run.db: ")) << sql;
    const testing::Shell answer = ask(dir.path(), of_index ? index : run, sql);
    EXPECT_EQ(answer.code, 0) << sql << answer.text;
    answers.push_back(answer.text);
  }
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_TRUE(answers[0].ends_with(fmt::format("{} x done 0.25\n", uid))) << answers[0];
  EXPECT_EQ(answers[1], "0 100.0 1\n8 108.0 1\n");
  EXPECT_EQ(answers[2], "1 0.125\n2 0.25\n");
  EXPECT_EQ(answers[3], "optimiser.lr 0.00025 kd.toml:3:1\ntome.r 8 --set\n");

  // The table of the five lines, without pandas.
  const size_t from = text.find("sql = \"") + 7;
  const testing::Shell table =
      ask(dir.path(), index, text.substr(from, text.find('"', from) - from));
  EXPECT_EQ(table.code, 0) << table.text;
  EXPECT_NE(table.text.find(uid + " done eval.mAP 0.25\n"), std::string::npos) << table.text;
}

TEST(TrackerFormat, ReaderIsShort) {
  const std::string text = python_reader();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 34);
}

TEST(TrackerFormat, EveryTableAndViewIsDocumented) {
  const std::string text = page();
  const sql::Database db = sql::Database::memory(kRunSchema);
  for (auto rows = db.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
       rows.step();) {
    EXPECT_NE(text.find("`" + rows.text(0) + "`"), std::string::npos) << rows.text(0);
  }
}

TEST(TrackerFormat, ViewsAnswerAsDocumented) {
  const testing::TempDir dir;
  Store store(dir / ".exp");
  auto run = store.create(testing_runs::sample("x", 0), testing_runs::quiet());
  auto stage = run->begin_stage("train", "train", "k", {});
  const MetricId map = stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch);
  for (int epoch = 1; epoch <= 3; ++epoch) stage->log(map, epoch, 0.1 * epoch);
  run->finish(Outcome::kPreempted, "", "", 75);
  auto again = store.resume(run->uid(), testing_runs::sample("x", 0), testing_runs::quiet());
  stage = again->begin_stage("train", "train", "k", {});
  stage->resumed(100, 2);
  stage->log(stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch), 3, 0.9);
  again->finish(Outcome::kDone, "", "", 0);
  const sql::Database db = sql::Database::read(store.run_folder(run->uid()) / "run.db", kRunSchema);
  auto rows = db.prepare("SELECT epoch, value FROM epochs WHERE name='train.val.mAP'");
  std::vector<double> values;
  while (rows.step()) values.push_back(rows.real(1));
  EXPECT_EQ(values, (std::vector<double>{0.1, 0.2, 0.9}));
  auto metrics =
      db.prepare("SELECT last, last_step, max, n FROM metrics WHERE name='train.val.mAP'");
  ASSERT_TRUE(metrics.step());
  EXPECT_EQ(metrics.real(0), 0.9);
  EXPECT_EQ(metrics.integer(1), 3);
  EXPECT_EQ(metrics.real(2), 0.9);
  EXPECT_EQ(metrics.integer(3), 3);
}

}  // namespace
}  // namespace xp::tracker
