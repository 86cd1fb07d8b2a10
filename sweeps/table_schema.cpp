#include "sweeps/table_schema.h"

#include <array>

namespace xp::sweeps {
namespace {

constexpr const char* kTables = R"(
CREATE TABLE sweep(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, family TEXT NOT NULL, recipe TEXT NOT NULL, created_ns INTEGER NOT NULL,
  spec TEXT NOT NULL, halted TEXT NOT NULL DEFAULT '', cancelled INTEGER NOT NULL DEFAULT 0);
CREATE TABLE file(path TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE environment(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE trial(
  number INTEGER PRIMARY KEY, point INTEGER NOT NULL, seed INTEGER NOT NULL, hash TEXT NOT NULL UNIQUE,
  place TEXT NOT NULL, bundle TEXT NOT NULL, goals TEXT NOT NULL, wanted INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('queued','running','done','failed','stopped','lost')),
  owner TEXT NOT NULL DEFAULT '', host TEXT NOT NULL DEFAULT '', boot_id TEXT NOT NULL DEFAULT '',
  pid_ns TEXT NOT NULL DEFAULT '', pid INTEGER NOT NULL DEFAULT 0, pid_start INTEGER NOT NULL DEFAULT 0,
  job TEXT NOT NULL DEFAULT '', lease_ns INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0, run TEXT NOT NULL DEFAULT '', doing TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '', started_ns INTEGER NOT NULL DEFAULT 0, ended_ns INTEGER NOT NULL DEFAULT 0,
  seconds REAL NOT NULL DEFAULT 0, peak_mb REAL NOT NULL DEFAULT 0);
CREATE INDEX trial_state ON trial(state, wanted, number);
CREATE INDEX trial_bundle ON trial(bundle, state);
CREATE TABLE value(
  trial INTEGER NOT NULL REFERENCES trial(number), position INTEGER NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(trial, position)) WITHOUT ROWID;
CREATE TABLE metric(
  trial INTEGER NOT NULL REFERENCES trial(number), name TEXT NOT NULL, value REAL,
  PRIMARY KEY(trial, name)) WITHOUT ROWID;
CREATE TABLE rung(
  id INTEGER PRIMARY KEY, trial INTEGER NOT NULL REFERENCES trial(number), epoch INTEGER NOT NULL, value REAL,
  UNIQUE(trial, epoch));
CREATE INDEX rung_epoch ON rung(epoch, id);
CREATE VIEW trials AS
  SELECT t.number, t.state, t.seed,
         (SELECT group_concat(v.key || ' = ' || v.text, ', ') FROM value v WHERE v.trial = t.number) AS "values",
         t.run, t.tries, t.seconds, t.error
  FROM trial t WHERE t.wanted ORDER BY t.number;
)";

constexpr std::array<tracker::sql::Migration, 1> kSteps = {{{1, kTables, ""}}};

}  // namespace

// The mark is the letters "XPsw".
const tracker::sql::Schema kSweepSchema = {0x58507377, "sweep database", kSteps};

}  // namespace xp::sweeps
