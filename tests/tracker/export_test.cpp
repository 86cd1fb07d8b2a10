#include "tracker/export.h"

#include <cmath>
#include <cstring>

#include <sqlite3.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"
#include "tracker/event_file.h"
#include "tracker/mlflow_store.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;

/// The Python that has the packages which read exports: EXP_TRACKER_PYTHON, else python3.
std::string python() {
  const std::string_view given = testing::env("EXP_TRACKER_PYTHON");
  return given.empty() ? "python3" : std::string(given);
}

bool has_module(const std::string& module) {
  return testing::shell(fmt::format("{} -c 'import {}'", python(), module)).code == 0;
}

class ExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Store store(folder);
    NewRun sample = testing_runs::sample("kd", 8);
    sample.notes = "a \"note\", with\nlines";
    auto run = store.create(sample, testing_runs::quiet());
    auto stage = run->begin_stage("train", "train", "k", {});
    const MetricId loss = stage->metric("loss", Unit::kNone);
    for (int step = 1; step <= 300; ++step) stage->log(loss, step, 1.0 / step);
    stage->log(loss, 301, std::nan(""));
    stage->log(loss, 302, INFINITY);
    stage->summary("mAP", 0.1 + 0.2, Unit::kFraction);
    stage->summary("ap//m/0abc", 0.5, Unit::kFraction);
    run->finish(Outcome::kDone, "", "", 0);
    uid = run->uid();
  }
  Exported write(const char* format) {
    Query query(folder);
    return export_runs(query, query.runs({}), export_format(format), dir / "out");
  }

  testing::TempDir dir;
  fs::path folder = dir / ".exp";
  std::string uid;
};

class ExportIntegration : public ExportTest {};

TEST_F(ExportTest, Csv) {
  const Exported done = write("csv");
  EXPECT_EQ(done.runs, 1u);
  EXPECT_EQ(done.points, 304u);
  const std::string runs = read_file(dir / "out/runs.csv");
  EXPECT_NE(runs.find("\"[0.9,0.999]\""), std::string::npos) << runs;
  EXPECT_NE(runs.find(",0.30000000000000004"), std::string::npos) << "digits that read back";
  const std::string points = read_file(dir / "out/points.csv");
  EXPECT_EQ(points.substr(0, points.find('\n')), "uid,metric,rank,step,time_ns,attempt,value");
  EXPECT_NE(points.find(",1,nan\n"), std::string::npos);
  EXPECT_NE(points.find(",1,inf\n"), std::string::npos);
  EXPECT_NE(points.find(",1,0.3333333333333333\n"), std::string::npos);
  EXPECT_THROW(write("csv"), Error) << "the folder is not empty";
  EXPECT_THROW(export_format("cvs"), Error);
}

TEST_F(ExportTest, JsonLinesAreReadByPython) {
  write("jsonl");
  const auto read =
      testing::shell(fmt::format("{} -c 'import json,math\n"
                                 "runs=[json.loads(l) for l in open(\"{}/out/runs.jsonl\")]\n"
                                 "points=[json.loads(l) for l in open(\"{}/out/points.jsonl\")]\n"
                                 "print(runs[0][\"name\"], runs[0][\"metrics\"][\"train.mAP\"], "
                                 "len(points), runs[0][\"params\"][\"tome.r\"])'",
                                 python(), dir.path().string(), dir.path().string()));
  EXPECT_EQ(read.text, "kd 0.30000000000000004 304 8\n");
}

TEST_F(ExportTest, TensorBoardRecordsAreFramedAndSummed) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u) << "the check value of CRC-32C";
  const Exported done = write("tb");
  EXPECT_EQ(done.points, 304u);
  fs::path file;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "out")) {
    if (entry.is_regular_file()) file = entry.path();
  }
  EXPECT_TRUE(file.filename().string().starts_with("events.out.tfevents."));
  const std::string bytes = read_file(file);
  const auto masked = [](std::string_view text) {
    const uint32_t crc = crc32c(text);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
  };
  size_t at = 0, records = 0;
  while (at < bytes.size()) {
    uint64_t length = 0;
    uint32_t of_length = 0, of_data = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&of_length, bytes.data() + at + 8, 4);
    ASSERT_EQ(of_length, masked(std::string_view(bytes).substr(at, 8)));
    std::memcpy(&of_data, bytes.data() + at + 12 + length, 4);
    ASSERT_EQ(of_data, masked(std::string_view(bytes).substr(at + 12, length)));
    at += 16 + length;
    ++records;
  }
  EXPECT_EQ(records, 306u) << "the version, the configuration, 304 points";
}

// By the server that pip installs, as a browser asks it.
TEST_F(ExportIntegration, TensorBoardShowsIt) {
  if (!has_module("tensorboard")) GTEST_SKIP() << "no tensorboard package (EXP_TRACKER_PYTHON)";
  write("tb");
  const auto read = testing::shell(fmt::format(
      "{} - 2>/dev/null <<'END'\n"
      "import json, math, time, urllib.parse, urllib.request\n"
      "from tensorboard import program\n"
      "board = program.TensorBoard()\n"
      "board.configure(argv=[None, '--logdir', '{}/out', '--port', '0'])\n"
      "url = board.launch()\n"
      "def ask(what): return json.load(urllib.request.urlopen(url + 'data/plugin/' + what))\n"
      "for _ in range(600):\n"
      "  tags = ask('scalars/tags')\n"
      "  if tags: break\n"
      "  time.sleep(0.1)\n"
      "run = list(tags)[0]\n"
      "def scalars(tag): return ask('scalars/scalars?' + urllib.parse.urlencode("
      "{{'run': run, 'tag': tag}}))\n"
      "loss = {{step: value for _, step, value in scalars('train.loss')}}\n"
      "print(len(loss), '%.6g' % loss[3], loss[301], loss[302], "
      "'%.6g' % scalars('train.mAP')[0][2])\n"
      "print('config' in str(ask('text/tags')))\n"
      "END",
      python(), dir.path().string()));
  EXPECT_EQ(read.text, "302 0.333333 NaN Infinity 0.3\nTrue\n");
}

TEST_F(ExportTest, MlflowStoreIsOneWholeFile) {
  const Exported done = write("mlflow");
  EXPECT_EQ(done.points, 304u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 1);
  EXPECT_EQ(read_file(dir / "out/mlflow.db", 15), "SQLite format 3");
  EXPECT_EQ(mlflow_name("a/../b:c"), "a__._b_c");
}

// What a URI gives a meaning of its own does not end the path that it holds.
TEST_F(ExportTest, MlflowAddressesHoldAnyPath) {
  const fs::path out = dir / "a#b?c%20 d";
  Query query(folder);
  export_runs(query, query.runs({}), ExportFormat::kMlflow, out);
  sqlite3* db = nullptr;
  ASSERT_EQ(::sqlite3_open((out / "mlflow.db").c_str(), &db), SQLITE_OK);
  const auto check = [](void* wanted, int, char** values, char**) {
    const std::string address = values[0];
    EXPECT_EQ(address.find_first_of("#? "), std::string::npos) << address;
    std::string path;
    for (size_t i = std::string("file:").size(); i < address.size(); ++i) {
      const bool escaped = address[i] == '%';
      path += escaped ? static_cast<char>(std::stoi(address.substr(i + 1, 2), nullptr, 16))
                      : address[i];
      i += escaped ? 2 : 0;
    }
    EXPECT_TRUE(path.starts_with(*static_cast<std::string*>(wanted))) << address;
    return 0;
  };
  std::string wanted = fs::absolute(out / "artifacts").string();
  const char* const all =
      "SELECT artifact_uri FROM runs UNION ALL SELECT artifact_location FROM experiments";
  EXPECT_EQ(::sqlite3_exec(db, all, check, &wanted, nullptr), SQLITE_OK);
  ::sqlite3_close(db);
}

TEST_F(ExportIntegration, MlflowReadsItBack) {
  if (!has_module("mlflow")) GTEST_SKIP() << "no mlflow package (EXP_TRACKER_PYTHON)";
  write("mlflow");
  const auto read = testing::shell(
      fmt::format("{} - 2>/dev/null <<'END'\n"
                  "import mlflow\n"
                  "c = mlflow.tracking.MlflowClient('sqlite:///{}/out/mlflow.db')\n"
                  "e = c.get_experiment_by_name('kd')\n"
                  "r = c.search_runs([e.experiment_id])[0]\n"
                  "h = c.get_metric_history(r.info.run_id, 'train.loss')\n"
                  "print(r.info.status, r.data.params['tome.r'], r.data.metrics['train.mAP'], "
                  "len(h), h[2].step, h[2].value, h[300].value, h[301].value)\n"
                  "print(r.data.tags['exp.uid'], r.data.tags['mlflow.note.content'], "
                  "r.data.metrics['train.ap__m_0abc'])\n"
                  "END",
                  python(), dir.path().string()));
  EXPECT_EQ(read.text,
            "FINISHED 8 0.30000000000000004 302 3 0.3333333333333333 nan "
            "1.7976931348623157e+308\n" +
                uid + " a \"note\", with\nlines 0.5\n");
}

}  // namespace
}  // namespace xp::tracker
