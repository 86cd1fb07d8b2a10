#include "tracker/store.h"

#include <cmath>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"
#include "tracker/file_system.h"
#include "tracker/objects.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;
using testing_runs::finished_run;
using testing_runs::quiet;
using testing_runs::sample;

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<int64_t> steps_of(const Curve& curve) {
  std::vector<int64_t> out;
  for (const Point& point : curve.points) out.push_back(point.step);
  return out;
}

class StoreTest : public ::testing::Test {
 protected:
  testing::TempDir dir;
  Store store{dir / ".exp"};
  fs::path folder = dir / ".exp";
};

TEST_F(StoreTest, RunIsCreatedLoggedToFinishedListedAndShown) {
  auto run = store.create(sample("first", 16), quiet());
  auto stage = run->begin_stage("train", "train", "abc", {});
  const MetricId loss = stage->metric("train.loss", Unit::kNone);
  for (int step = 1; step <= 1000; ++step) stage->log(loss, step, 1.0 / step);
  stage->log(stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch), 1, 0.3);
  stage->summary("mAP", 0.45, Unit::kFraction);
  stage->finished(Outcome::kDone, "");
  run->finish(Outcome::kDone, "", "", 0);
  EXPECT_FALSE(run->losses().any());
  EXPECT_FALSE(fs::exists(run->folder() / "ring"));
  EXPECT_FALSE(fs::exists(run->folder() / "run.db-wal")) << "an ended run is one plain file";

  Query query(folder);
  const auto runs = query.runs({.filter = "status=done and tome.r>=16 and train.mAP>0.4"});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].uid, run->uid());
  EXPECT_EQ(runs[0].status, Status::kDone);
  EXPECT_EQ(runs[0].tags, std::vector<std::string>{"kd"});
  EXPECT_EQ(runs[0].params.at("tome.r"), Value(int64_t{16}));
  EXPECT_EQ(runs[0].params.at("optimiser.betas"), Value(Json{"[0.9,0.999]"}));
  EXPECT_EQ(runs[0].metrics.at("train.mAP").last, 0.45);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").n, 1000);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").min, 0.001);
  EXPECT_EQ(runs[0].metrics.at("train.train.loss").last_step, 1000);

  const Curve curve = query.curve(run->uid(), "train.train.loss");
  ASSERT_EQ(curve.points.size(), 1000u);
  EXPECT_EQ(curve.points[499].value, 1.0 / 500);
  const RunDetail detail = query.detail(run->uid());
  ASSERT_EQ(detail.attempts.size(), 1u);
  EXPECT_EQ(detail.attempts[0].status, Status::kDone);
  EXPECT_EQ(detail.attempts[0].exit_code, 0);
  EXPECT_EQ(detail.stages.at(0).state, "done");
  EXPECT_EQ(detail.sources.at("tome.r"), "--set");
  EXPECT_EQ(detail.recipe_toml, "tome.r = 16\n");
  EXPECT_EQ(detail.argv, (std::vector<std::string>{"exp", "run", "kd.toml"}));
}

TEST_F(StoreTest, LiveRunIsReadWhileItIsWritten) {
  RunOptions slow = quiet();
  slow.flush = std::chrono::milliseconds(60000);
  auto run = store.create(sample("live", 0), slow);
  const MetricId loss = run->metric("loss", Unit::kNone);
  for (int step = 0; step < 10; ++step) run->log(loss, step, step);
  Query query(folder);
  EXPECT_EQ(query.run(run->uid()).status, Status::kRunning);
  run->flush();
  for (int step = 10; step < 15; ++step) run->log(loss, step, step);
  EXPECT_EQ(query.curve(run->uid(), "loss").points.size(), 15u)
      << "ten from run.db, five from the ring";
  query.refresh();
  EXPECT_EQ(query.run(run->uid()).metrics.at("loss").n, 10);
  run->finish(Outcome::kFailed, "loss is nan", "stage train", 1);
  query.refresh();
  const RunInfo info = query.run(run->uid());
  EXPECT_EQ(info.status, Status::kFailed);
  EXPECT_EQ(info.error, "loss is nan");
  EXPECT_EQ(info.where, "stage train");
  EXPECT_EQ(info.metrics.at("loss").n, 15);
}

TEST_F(StoreTest, ResumeAppendsAnAttemptAndShowsEachStepOnce) {
  std::string uid;
  {
    auto run = store.create(sample("resumed", 0), quiet());
    uid = run->uid();
    auto stage = run->begin_stage("train", "train", "k", {});
    const MetricId loss = stage->metric("loss", Unit::kNone);
    const MetricId map = stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch);
    for (int step = 1; step <= 500; ++step) stage->log(loss, step, 1);
    for (int epoch = 1; epoch <= 5; ++epoch) stage->log(map, epoch, 0.1 * epoch);
    run->finish(Outcome::kPreempted, "", "", 75);
  }
  auto run = store.resume(uid, sample("resumed", 0), quiet());
  EXPECT_EQ(run->attempt(), 2);
  auto stage = run->begin_stage("train", "train", "k", {});
  stage->resumed(400, 4);
  const MetricId loss = stage->metric("loss", Unit::kNone);
  for (int step = 401; step <= 450; ++step) stage->log(loss, step, 2);
  run->finish(Outcome::kDone, "", "", 0);

  Query query(folder);
  const Curve curve = query.curve(uid, "train.loss");
  ASSERT_EQ(curve.points.size(), 450u);
  EXPECT_EQ(curve.points[399].value, 1);
  EXPECT_EQ(curve.points[400].value, 2);
  EXPECT_EQ(steps_of(query.curve(uid, "train.val.mAP")), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(query.curve_of_attempt(uid, "train.loss", 1).points.size(), 500u);
  EXPECT_EQ(query.curve_of_attempt(uid, "train.loss", 2).points.size(), 50u);
  const RunInfo info = query.run(uid);
  EXPECT_EQ(info.attempts, 2);
  EXPECT_EQ(info.metrics.at("train.loss").last_step, 450);
  EXPECT_EQ(info.metrics.at("train.loss").n, 450);
  EXPECT_EQ(info.metrics.at("train.val.mAP").last_step, 4);
  const RunDetail detail = query.detail(uid);
  EXPECT_EQ(detail.attempts[0].status, Status::kPreempted);
  EXPECT_EQ(detail.attempts[1].status, Status::kDone);
}

TEST_F(StoreTest, StageBegunAnewHidesItsOldPoints) {
  auto first = store.create(sample("anew", 0), quiet());
  const std::string uid = first->uid();
  auto stage = first->begin_stage("eval", "evaluate", "k", {});
  stage->summary("mAP", 0.2, Unit::kFraction);
  stage->log(stage->metric("rows", Unit::kCount), 100, 1);
  first->finish(Outcome::kFailed, "x", "", 1);
  auto second = store.resume(uid, sample("anew", 0), quiet());
  stage = second->begin_stage("eval", "evaluate", "k", {});
  second->flush();
  Query query(folder);
  EXPECT_TRUE(query.curve(uid, "eval.mAP").points.empty());
  EXPECT_EQ(query.run(uid).metrics.count("eval.mAP"), 0u);
  stage->summary("mAP", 0.3, Unit::kFraction);
  second->finish(Outcome::kDone, "", "", 0);
  query.refresh();
  EXPECT_EQ(query.run(uid).metrics.at("eval.mAP").last, 0.3);
}

// The run that made it lost its record, and with it the curves; what it gave is known all the same.
TEST_F(StoreTest, AnOutputWithoutCurvesHasTheValuesThatItsManifestReports) {
  const fs::path cache = folder / "cache/evaluate/k1";
  fs::create_directories(cache);
  auto run = store.create(sample("user", 0), quiet());
  run->attach_stage("eval", "evaluate", "k1", cache, {{"mAP", 0.4}, {"acc", 0.5}});
  run->attach_stage("eval", "evaluate", "k1", cache, {{"mAP", 0.4}, {"acc", 0.5}});
  run->finish(Outcome::kDone, "", "", 0);
  const auto metrics = Query(folder).run(run->uid()).metrics;
  EXPECT_EQ(metrics.at("eval.mAP").last, 0.4);
  EXPECT_EQ(metrics.at("eval.mAP").n, 1);
  EXPECT_TRUE(metrics.at("eval.acc").reused);
  EXPECT_EQ(Query(folder).runs({.filter = "eval.acc=0.5"}).size(), 1U);
}

TEST_F(StoreTest, CachedStageShowsItsCurvesMarked) {
  const fs::path cache = folder / "cache/train/k1";
  fs::create_directories(cache);
  auto first = store.create(sample("maker", 0), quiet());
  auto stage = first->begin_stage("student", "train", "k1", cache);
  EXPECT_NO_THROW(first->flush());
  EXPECT_EQ(read_file(cache / "curves.from"), first->uid() + " student\n");
  const MetricId loss = stage->metric("train.loss", Unit::kNone);
  for (int step = 0; step < 600; ++step) stage->log(loss, step, 0.5 * step);
  stage->summary("mAP", 0.4, Unit::kFraction);
  stage->finished(Outcome::kDone, "");
  first->publish_stage("student", cache);
  EXPECT_TRUE(fs::exists(cache / "curves.db"));
  EXPECT_FALSE(fs::exists(cache / "curves.from"));
  first->attach_stage("student", "train", "k1", cache, {});
  first->finish(Outcome::kDone, "", "", 0);

  auto second = store.create(sample("user", 0), quiet());
  second->attach_stage("teacher", "train", "k1", cache, {});
  second->finish(Outcome::kDone, "", "", 0);
  Query query(folder);
  const Curve curve = query.curve(second->uid(), "teacher.train.loss");
  EXPECT_TRUE(curve.reused);
  ASSERT_EQ(curve.points.size(), 600u);
  EXPECT_EQ(curve.points[599].value, 299.5);
  EXPECT_TRUE(query.run(second->uid()).metrics.at("teacher.mAP").reused);
  EXPECT_EQ(query.runs({.filter = "teacher.mAP>=0.4"}).size(), 1u);
  EXPECT_TRUE(query.detail(second->uid()).stages.at(0).reused);
  EXPECT_EQ(fs::path(query.detail(second->uid()).stages.at(0).folder), cache);
  EXPECT_FALSE(query.curve(first->uid(), "student.train.loss").reused)
      << "its maker has them itself";
  EXPECT_EQ(query.detail(first->uid()).stages.at(0).reused, false);

  store.remove(first->uid());
  EXPECT_EQ(query.curve(second->uid(), "teacher.train.loss").points.size(), 600u)
      << "the output owns its curves";
  fs::remove_all(cache);
  EXPECT_TRUE(query.curve(second->uid(), "teacher.train.loss").points.empty());
  EXPECT_EQ(query.warnings().back(), "the cached stage 'teacher' of run " + second->uid() +
                                         " is gone (" + cache.string() +
                                         "): its curves cannot be shown");
}

TEST_F(StoreTest, RunThatGoesOnWithAnothersWorkTakesItsCurvesOver) {
  const fs::path partial = folder / "cache/train/k1.partial";
  fs::create_directories(partial);
  auto first = store.create(sample("killed", 0), quiet());
  auto stage = first->begin_stage("train", "train", "k1", partial);
  const MetricId loss = stage->metric("loss", Unit::kNone);
  for (int step = 1; step <= 100; ++step) stage->log(loss, step, 1);
  first->finish(Outcome::kInterrupted, "", "", 130);

  auto second = store.create(sample("heir", 0), quiet());
  auto heir = second->begin_stage("student", "train", "k1", partial);
  heir->resumed(80, 0);
  const MetricId id = heir->metric("loss", Unit::kNone);
  for (int step = 81; step <= 120; ++step) heir->log(id, step, 2);
  second->publish_stage("student", partial);
  second->finish(Outcome::kDone, "", "", 0);
  Query query(folder);
  const Curve curve = query.curve(second->uid(), "student.loss");
  ASSERT_EQ(curve.points.size(), 120u);
  EXPECT_EQ(curve.points[79].value, 1);
  EXPECT_EQ(curve.points[79].attempt, 0);
  EXPECT_EQ(curve.points[80].value, 2);
  const sql::Database curves = sql::Database::read(partial / "curves.db", kCurvesSchema);
  auto row = curves.prepare("SELECT n FROM summary");
  ASSERT_TRUE(row.step());
  EXPECT_EQ(row.integer(0), 120);
}

TEST_F(StoreTest, RequestsReachLiveAndEndedRuns) {
  RunOptions options = quiet();
  int asked = 0;
  options.on_stop = [&] { ++asked; };
  auto run = store.create(sample("live", 0), options);
  const std::string uid = run->uid();
  store.tag(uid, {"a", "b"}, {"kd"});
  store.note(uid, "first");
  store.stop(uid);
  store.stop(uid);
  run->flush();
  EXPECT_TRUE(run->stop_requested());
  EXPECT_EQ(asked, 1);
  Query query(folder);
  EXPECT_EQ(query.run(uid).tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(message_of([&] { store.remove(uid); }).substr(0, 43),
            ("run " + uid + " is running on ").substr(0, 43));
  EXPECT_EQ(message_of([&] { store.resume(uid, sample("live", 0), quiet()); }).substr(0, 43),
            ("run " + uid + " is running on ").substr(0, 43));
  run->finish(Outcome::kInterrupted, "", "", 130);

  store.tag(uid, {"late"}, {"a"});
  store.note(uid, "second");
  query.refresh();
  const RunInfo info = query.run(uid);
  EXPECT_EQ(info.tags, (std::vector<std::string>{"b", "late"}));
  EXPECT_EQ(info.notes, "first\nsecond");
  EXPECT_EQ(info.status, Status::kInterrupted);
  EXPECT_EQ(message_of([&] { store.stop(uid); }),
            "run " + uid + " is not running; there is nothing to stop");
  EXPECT_EQ(message_of([&] { store.tag("01NOSUCH", {"a"}, {}); }),
            "there is no run 01NOSUCH in " + folder.string());
  store.remove(uid);
  query.refresh();
  EXPECT_TRUE(query.runs({}).empty());
}

TEST_F(StoreTest, QueuedAndUnfinishedRuns) {
  const std::string queued = store.queue(sample("q", 8));
  Query query(folder);
  EXPECT_EQ(query.run(queued).status, Status::kQueued);
  EXPECT_TRUE(store.earlier("hash-q").empty()) << "what waits in the queue is the queue's";
  auto run = store.resume(queued, sample("q", 8), quiet());
  EXPECT_EQ(run->attempt(), 1);
  EXPECT_TRUE(store.earlier("hash-q").empty()) << "somebody works on it";
  run->finish(Outcome::kPreempted, "", "", 75);
  ASSERT_EQ(store.earlier("hash-q").size(), 1U);
  EXPECT_EQ(store.earlier("hash-q")[0].uid, queued);
  EXPECT_FALSE(store.earlier("hash-q")[0].done);
  store.resume(queued, sample("q", 8), quiet())->finish(Outcome::kDone, "", "", 0);
  EXPECT_TRUE(store.earlier("hash-q")[0].done);
}

TEST_F(StoreTest, ALaterAttemptKeepsWhatItWasStartedWith) {
  NewRun first = sample("a", 8);
  first.params.push_back({"train.workers", int64_t{2}, "--set"});
  const auto run = store.create(first, quiet());
  run->finish(Outcome::kPreempted, "", "", 75);
  NewRun second = first;
  second.name = "b";
  second.params.back() = {"train.shard_mb", int64_t{9}, "--set"};
  second.argv = {"exp", "run", "other.toml"};
  store.resume(run->uid(), second, quiet())->finish(Outcome::kDone, "", "", 0);
  Query query(folder);
  EXPECT_EQ(query.run(run->uid()).name, "b");
  EXPECT_EQ(query.run(run->uid()).params.count("train.workers"), 0U);
  const RunDetail detail = query.detail(run->uid());
  EXPECT_TRUE(detail.attempts[0].changes.empty());
  EXPECT_EQ(detail.attempts[0].argv, first.argv);
  EXPECT_EQ(detail.attempts[1].argv, second.argv);
  const auto& changes = detail.attempts[1].changes;
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].key, "name");
  EXPECT_EQ(changes[1].key, "train.shard_mb");
  EXPECT_EQ(changes[1].was, std::nullopt);
  EXPECT_EQ(changes[1].now, "9");
  EXPECT_EQ(changes[2].key, "train.workers");
  EXPECT_EQ(changes[2].was, "2");
  EXPECT_EQ(changes[2].now, std::nullopt);
}

TEST_F(StoreTest, ARunOfBeforeChangesWereKeptIsReadAndGoneOnWith) {
  const auto run = store.create(sample("a", 8), quiet());
  run->finish(Outcome::kPreempted, "", "", 75);
  {
    sql::Database db = sql::Database::open(store.run_folder(run->uid()) / "run.db", kRunSchema);
    db.exec("DROP TABLE change; PRAGMA user_version=1");
  }
  EXPECT_TRUE(Query(folder).detail(run->uid()).attempts.at(0).changes.empty());
  store.resume(run->uid(), sample("b", 8), quiet())->finish(Outcome::kDone, "", "", 0);
  EXPECT_FALSE(Query(folder).detail(run->uid()).attempts.at(1).changes.empty());
}

TEST_F(StoreTest, ARunThatWasKilledBeforeItWasWrittenDownIsBegunAgain) {
  NewRun noted = sample("a", 8);
  noted.uid = make_ulid();
  fs::create_directories(store.run_folder(noted.uid));
  sql::Database::open(store.run_folder(noted.uid) / "run.db", kRunSchema);
  store.resume(noted.uid, noted, quiet())->finish(Outcome::kDone, "", "", 0);
  const RunInfo run = Query(folder).run(noted.uid);
  EXPECT_EQ(run.status, Status::kDone);
  EXPECT_EQ(run.name, "a");
  noted.uid = make_ulid();
  EXPECT_EQ(store.create(noted, quiet())->uid(), noted.uid);
}

TEST_F(StoreTest, ArtifactsAreKeptOnceByContent) {
  std::ofstream(dir / "small.csv") << "a,b\n";
  std::ofstream(dir / "big.bin") << std::string(2 << 20, 'x');
  auto run = store.create(sample("a", 0), quiet());
  auto stage = run->begin_stage("train", "train", "k", {});
  stage->artifact(Kind::kTable, dir / "small.csv", 3);
  stage->artifact(Kind::kCheckpoint, dir / "big.bin", 7);
  run->artifact(Kind::kCheckpoint, dir / "big.bin", 8);
  EXPECT_EQ(message_of([&] { run->artifact(Kind::kOther, dir / "absent", 0); }).substr(0, 11),
            "cannot read");
  run->finish(Outcome::kDone, "", "", 0);
  Query query(folder);
  const RunDetail detail = query.detail(run->uid());
  ASSERT_EQ(detail.artifacts.size(), 3u);
  EXPECT_EQ(detail.artifacts[0].name, "small.csv");
  EXPECT_EQ(detail.artifacts[0].stage, "train");
  EXPECT_EQ(detail.artifacts[0].step, 3);
  EXPECT_EQ(read_file(detail.artifacts[0].path), "a,b\n");
  EXPECT_EQ(detail.artifacts[1].sha256, detail.artifacts[2].sha256);
  EXPECT_EQ(detail.artifacts[1].bytes, 2 << 20);
  EXPECT_EQ(references(folder).objects.size(), 2u);
  EXPECT_EQ(references(folder).stage_keys, std::vector<std::string>{"k"});
  EXPECT_TRUE(unreferenced_objects(folder).empty());

  store.remove(run->uid());
  EXPECT_TRUE(unreferenced_objects(folder).empty())
      << "an object of a moment ago may be somebody's";
  EXPECT_EQ(unreferenced_objects(folder, std::chrono::seconds(-1)).size(), 2u);
}

TEST_F(StoreTest, RanksHaveSeriesOfTheirOwn) {
  auto run = store.create(sample("ddp", 0), quiet());
  auto stage = run->begin_stage("train", "train", "k", {});
  auto other = open_rank_sink(run->folder(), 1, "train");
  stage->log(stage->metric("step_s", Unit::kSeconds), 1, 0.1);
  const MetricId id = other->metric("step_s", Unit::kSeconds);
  for (int step = 1; step <= 300; ++step) other->log(id, step, 0.2);
  other->event(Level::kWarning, "slow");
  EXPECT_THROW(other->artifact(Kind::kOther, "x", 0), Error);
  run->flush();
  Query query(folder);
  EXPECT_EQ(query.curve(run->uid(), "train.step_s", 1).points.size(), 300u);
  EXPECT_EQ(query.curve(run->uid(), "train.step_s").points.size(), 1u);
  other.reset();
  run->finish(Outcome::kDone, "", "", 0);
  query.refresh();
  EXPECT_EQ(query.metric_names(run->uid()).at(0).second, (std::vector<int>{0, 1}));
  EXPECT_EQ(query.detail(run->uid()).events.at(0).text, "slow");
}

TEST_F(StoreTest, MoreThanTheRingHoldsIsKeptInMemoryAndThenWritten) {
  RunOptions slow = quiet();
  slow.flush = std::chrono::milliseconds(60000);
  auto run = store.create(sample("flood", 0), slow);
  const MetricId loss = run->metric("loss", Unit::kNone);
  constexpr int64_t kPoints = 300000;
  for (int64_t step = 0; step < kPoints; ++step) run->log(loss, step, static_cast<double>(step));
  run->finish(Outcome::kDone, "", "", 0);
  EXPECT_FALSE(run->losses().any());
  const Curve curve = Query(folder).curve(run->uid(), "loss");
  ASSERT_EQ(curve.points.size(), static_cast<size_t>(kPoints));
  for (int64_t step = 0; step < kPoints; ++step)
    ASSERT_EQ(curve.points[static_cast<size_t>(step)].step, step);
}

TEST_F(StoreTest, ManyThreadsLogAtOnce) {
  auto run = store.create(sample("threads", 0), quiet());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      auto stage = run->begin_stage("s" + std::to_string(t), "train", "k", {});
      const MetricId loss = stage->metric("loss", Unit::kNone);
      for (int step = 0; step < 5000; ++step) stage->log(loss, step, t);
      stage->event(Level::kInfo, "done");
      stage->finished(Outcome::kDone, "");
    });
  }
  for (std::thread& thread : threads) thread.join();
  run->finish(Outcome::kDone, "", "", 0);
  Query query(folder);
  for (int t = 0; t < 4; ++t) {
    EXPECT_EQ(query.curve(run->uid(), "s" + std::to_string(t) + ".loss").points.size(), 5000u);
  }
  EXPECT_EQ(query.detail(run->uid()).events.size(), 4u);
}

TEST_F(StoreTest, RunClosedWithoutAWordIsLostOnceItsProcessIsGone) {
  std::string uid;
  {
    auto run = store.create(sample("silent", 0), quiet());
    uid = run->uid();
    run->log(run->metric("loss", Unit::kNone), 1, 0.5);
  }
  {
    sql::Database db = sql::Database::open(store.run_folder(uid) / "run.db", kRunSchema);
    db.exec(
        "UPDATE attempt SET pid_start = pid_start - 1");  // as if another process had our pid now
  }
  Query query(folder);
  const RunInfo info = query.run(uid);
  EXPECT_EQ(info.status, Status::kLost);
  EXPECT_EQ(info.metrics.at("loss").last, 0.5);
}

TEST_F(StoreTest, LiveRunOnANetworkFileSystemIsReadFromItsCopy) {
  set_statfs_for_tests([](const char*) -> int64_t { return 0x6969; });
  RunOptions options = quiet();
  options.heartbeat = std::chrono::milliseconds(0);  // a copy with every transaction
  auto run = store.create(sample("nfs", 8), options);
  const MetricId loss = run->metric("loss", Unit::kNone);
  for (int step = 0; step < 10; ++step) run->log(loss, step, step);
  run->flush();
  {
    Query query(folder);
    EXPECT_EQ(query.run(run->uid()).status, Status::kRunning);
    EXPECT_EQ(query.curve(run->uid(), "loss").points.size(), 10u);
  }
  run->finish(Outcome::kDone, "", "", 0);
  EXPECT_FALSE(fs::exists(run->folder() / "live.db"));
  Query query(folder);
  EXPECT_EQ(query.run(run->uid()).status, Status::kDone);
  EXPECT_EQ(query.curve(run->uid(), "loss").points.size(), 10u);
  set_statfs_for_tests(nullptr);
}

TEST_F(StoreTest, FindsRunsByWhatPeopleType) {
  const std::string a = finished_run(store, "alpha", 1, 0.1);
  const std::string b = finished_run(store, "beta", 2, 0.2);
  Query query(folder);
  EXPECT_EQ(query.find("last"), b);
  EXPECT_EQ(query.find("last-1"), a);
  EXPECT_EQ(query.find("alpha"), a);
  EXPECT_EQ(query.find(a), a);
  EXPECT_EQ(query.find(a.substr(18)), a);
  EXPECT_EQ(message_of([&] { query.find("last-2"); }),
            "there are 2 runs: 'last-2' goes beyond them");
  EXPECT_EQ(message_of([&] { query.find("alfa"); }),
            "there is no run 'alfa'; did you mean 'alpha'?; `exp runs` lists them");
  EXPECT_EQ(message_of([&] { query.find("01M"); }).substr(0, 22), "there is no run '01M';");
  EXPECT_EQ(message_of([&] { Query(dir / "absent"); }).substr(0, 27),
            "there is no workspace in " + (dir / "absent").string().substr(0, 2));
}

TEST_F(StoreTest, DifferingKeysOnly) {
  const std::string a = finished_run(store, "x", 1, 0.1);
  const std::string b = finished_run(store, "x", 2, 0.2);
  Query query(folder);
  const auto differences = query.differing({b, a});
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].key, "tome.r");
  EXPECT_EQ(differences[0].values[0], Value(int64_t{2}));
  EXPECT_EQ(differences[0].values[1], Value(int64_t{1}));
  EXPECT_TRUE(query.differing({a}).empty());
  EXPECT_EQ(query.differing({}).size(), 1u);
}

TEST_F(StoreTest, CorruptIndexIsMadeAgain) {
  const std::string uid = finished_run(store, "x", 1, 0.1);
  { EXPECT_EQ(Query(folder).runs({}).size(), 1u); }
  for (const size_t where : {size_t{0}, size_t{4096}, size_t{9000}}) {
    SCOPED_TRACE(where);
    {
      std::fstream file(folder / "index.db", std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(where));
      file << std::string(3000, '\x5a');
    }
    Query query(folder);
    ASSERT_EQ(query.runs({}).size(), 1u);
    EXPECT_EQ(query.run(uid).metrics.at("eval.mAP").last, 0.1);
  }
  std::ofstream(folder / "index.db") << "not a database at all, but long enough to be looked at";
  Query query(folder);
  ASSERT_EQ(query.runs({}).size(), 1u);
  ASSERT_EQ(query.warnings().size(), 1u);
  EXPECT_EQ(query.warnings()[0], (folder / "index.db").string() +
                                     " was broken and is made again (" +
                                     (folder / "index.db").string() + ": file is not a database)");
  fs::remove(folder / "index.db");
  EXPECT_EQ(Query(folder).runs({}).size(), 1u);
}

TEST_F(StoreTest, CorruptRunIsNamedAndTheOthersStayReadable) {
  const std::string good = finished_run(store, "good", 1, 0.1);
  const std::string bad = finished_run(store, "bad", 2, 0.2);
  std::ofstream(store.run_folder(bad) / "run.db") << std::string(5000, 'x');
  Query query(folder);
  ASSERT_EQ(query.warnings().size(), 1u);
  EXPECT_EQ(query.warnings()[0],
            "run " + bad + " cannot be read: " + (store.run_folder(bad) / "run.db").string() +
                ": file is not a database");
  EXPECT_EQ(query.run(bad).status, Status::kBroken);
  EXPECT_EQ(query.find("last"), good) << "a broken run hides none";
  EXPECT_THROW(query.find("last-1"), Error);
  EXPECT_EQ(query.find(bad), bad);
  EXPECT_TRUE(query.differing({}).empty()) << "what cannot be read differs in nothing";
  EXPECT_EQ(query.runs({.filter = "status=done"}).at(0).uid, good);
  EXPECT_EQ(references(folder).unreadable.size(), 1u) << "gc must not remove what it may need";
  EXPECT_THROW(unreferenced_objects(folder), Error);
  EXPECT_TRUE(store.earlier("hash-bad").empty());
}

}  // namespace
}  // namespace xp::tracker
