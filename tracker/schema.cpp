#include "tracker/schema.h"

#include <array>

namespace xp::tracker {
namespace {

// Shared by run.db and curves.db. `bits` holds what SQLite's REAL cannot: NaN (which it stores as
// NULL) and -0.0.
constexpr const char* kMetricTables = R"(
CREATE TABLE metric(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stage TEXT NOT NULL, unit TEXT NOT NULL,
  grain TEXT NOT NULL CHECK(grain IN ('step','epoch','final','time')));
CREATE TABLE chunk(
  metric_id INTEGER NOT NULL REFERENCES metric(id), attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
  seq INTEGER NOT NULL, n INTEGER NOT NULL, step_min INTEGER NOT NULL, step_max INTEGER NOT NULL,
  t0_ns INTEGER NOT NULL, vmin REAL, vmax REAL, nans INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL,
  UNIQUE(metric_id, rank, attempt, seq));
CREATE TABLE point(
  metric_id INTEGER NOT NULL REFERENCES metric(id), attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
  step INTEGER NOT NULL, t_ns INTEGER NOT NULL, value REAL, bits INTEGER);
CREATE INDEX point_series ON point(metric_id, rank, attempt, step);
CREATE TABLE summary(
  metric_id INTEGER NOT NULL REFERENCES metric(id), rank INTEGER NOT NULL, n INTEGER NOT NULL, nans INTEGER NOT NULL,
  first_nan_step INTEGER, last REAL, last_bits INTEGER, last_step INTEGER, last_ns INTEGER,
  min REAL, min_step INTEGER, max REAL, max_step INTEGER, reused INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(metric_id, rank)) WITHOUT ROWID;
)";

constexpr const char* kRunTables = R"(
CREATE TABLE run(
  uid TEXT PRIMARY KEY, name TEXT NOT NULL, recipe_path TEXT NOT NULL, recipe_hash TEXT NOT NULL,
  recipe_toml TEXT NOT NULL, argv TEXT NOT NULL, parent TEXT NOT NULL, sweep TEXT NOT NULL,
  created_ns INTEGER NOT NULL);
CREATE TABLE param(key TEXT PRIMARY KEY, type TEXT NOT NULL, value, source TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tag(tag TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE note(id TEXT PRIMARY KEY, t_ns INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE attempt(
  k INTEGER PRIMARY KEY, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid_ns TEXT NOT NULL, pid INTEGER NOT NULL,
  pid_start INTEGER NOT NULL, slurm_job TEXT NOT NULL, argv TEXT NOT NULL, started_ns INTEGER NOT NULL,
  heartbeat_ns INTEGER NOT NULL, ended_ns INTEGER, state TEXT, message TEXT NOT NULL DEFAULT '',
  location TEXT NOT NULL DEFAULT '', exit_code INTEGER, dropped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE ring(id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cut(
  attempt INTEGER NOT NULL, stage TEXT NOT NULL, step INTEGER NOT NULL, epoch INTEGER NOT NULL,
  PRIMARY KEY(stage, attempt)) WITHOUT ROWID;
CREATE TABLE stage(
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, folder TEXT NOT NULL, reused INTEGER NOT NULL,
  attempt INTEGER NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', started_ns INTEGER NOT NULL,
  ended_ns INTEGER);
CREATE TABLE artifact(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  stage TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, t_ns INTEGER NOT NULL);
CREATE TABLE event(
  id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, t_ns INTEGER NOT NULL, level TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE VIEW metrics AS
  SELECT m.name, m.stage, m.unit, m.grain, s.last, s.last_step, s.min, s.min_step, s.max, s.max_step, s.n, s.nans,
         s.first_nan_step, s.reused
  FROM summary s JOIN metric m ON m.id = s.metric_id WHERE s.rank = 0 ORDER BY m.name;
CREATE VIEW epochs AS
  SELECT m.name, p.step AS epoch, p.value, p.attempt, p.rank, p.t_ns
  FROM point p JOIN metric m ON m.id = p.metric_id
  WHERE m.grain = 'epoch' AND p.attempt = (
    SELECT MAX(q.attempt) FROM point q
    WHERE q.metric_id = p.metric_id AND q.rank = p.rank AND q.step = p.step)
  AND NOT EXISTS (
    SELECT 1 FROM cut c WHERE c.stage = m.stage AND c.attempt > p.attempt AND p.step > c.epoch)
  ORDER BY m.name, p.rank, p.step;
CREATE VIEW chunks AS
  SELECT m.name, m.unit, c.* FROM chunk c JOIN metric m ON m.id = c.metric_id
  ORDER BY m.name, c.rank, c.attempt, c.seq;
)";

// What a later attempt of the run was started with that an earlier one was not.
constexpr const char* kChangeTable = R"(
CREATE TABLE change(
  attempt INTEGER NOT NULL, key TEXT NOT NULL, was TEXT, now TEXT, PRIMARY KEY(attempt, key)) WITHOUT ROWID;
)";

constexpr const char* kIndexTables = R"(
CREATE TABLE run(
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, recipe_path TEXT NOT NULL,
  recipe_hash TEXT NOT NULL, parent TEXT NOT NULL, sweep TEXT NOT NULL, created_ns INTEGER NOT NULL,
  attempts INTEGER NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid_ns TEXT NOT NULL, pid INTEGER NOT NULL,
  pid_start INTEGER NOT NULL, started_ns INTEGER NOT NULL, heartbeat_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
  state TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, location TEXT NOT NULL, tags TEXT NOT NULL,
  notes TEXT NOT NULL, settled INTEGER NOT NULL, stamp TEXT NOT NULL);
CREATE TABLE key(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE param(
  run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, key INTEGER NOT NULL, type TEXT NOT NULL, value,
  PRIMARY KEY(key, run)) WITHOUT ROWID;
CREATE INDEX param_run ON param(run);
CREATE TABLE tag(
  run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, tag TEXT NOT NULL, PRIMARY KEY(tag, run)) WITHOUT ROWID;
CREATE INDEX tag_run ON tag(run);
CREATE TABLE summary(
  run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, key INTEGER NOT NULL, unit TEXT NOT NULL,
  grain TEXT NOT NULL, n INTEGER NOT NULL, nans INTEGER NOT NULL, first_nan_step INTEGER, last REAL,
  last_bits INTEGER, last_step INTEGER, min REAL, min_step INTEGER, max REAL, max_step INTEGER,
  reused INTEGER NOT NULL, PRIMARY KEY(key, run)) WITHOUT ROWID;
CREATE INDEX summary_run ON summary(run);
)";

constexpr std::array<sql::Migration, 2> kRunSteps = {
    {{1, kMetricTables, kRunTables}, {2, kChangeTable, ""}}};
constexpr std::array<sql::Migration, 1> kCurvesSteps = {{{1, kMetricTables, ""}}};
constexpr std::array<sql::Migration, 1> kIndexSteps = {{{1, kIndexTables, ""}}};

}  // namespace

// The marks are the letters "XPrn", "XPcv", "XPix".
const sql::Schema kRunSchema = {0x5850726E, "run database", kRunSteps};
const sql::Schema kCurvesSchema = {0x58506376, "curve database", kCurvesSteps};
const sql::Schema kIndexSchema = {0x58506978, "index of runs", kIndexSteps};

}  // namespace xp::tracker
