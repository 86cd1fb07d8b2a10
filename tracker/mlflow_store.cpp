#include "tracker/mlflow_store.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/sqlite.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

// The tables of MLflow 0.9.1 with the first three migrations (a metric's step; is_nan): the names
// of constraints count, later migrations drop them by name.
constexpr const char* kTables = R"(
CREATE TABLE experiments(
  experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
  lifecycle_stage VARCHAR(32),
  CONSTRAINT experiment_pk PRIMARY KEY(experiment_id),
  CONSTRAINT experiments_lifecycle_stage CHECK(lifecycle_stage IN ('active', 'deleted')),
  UNIQUE(name));
CREATE TABLE runs(
  run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
  entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(20), start_time BIGINT,
  end_time BIGINT, source_version VARCHAR(50), lifecycle_stage VARCHAR(20),
  artifact_uri VARCHAR(200), experiment_id INTEGER,
  CONSTRAINT run_pk PRIMARY KEY(run_uuid),
  CONSTRAINT source_type CHECK(source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')),
  CONSTRAINT status CHECK(status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING')),
  CONSTRAINT runs_lifecycle_stage CHECK(lifecycle_stage IN ('active', 'deleted')),
  FOREIGN KEY(experiment_id) REFERENCES experiments(experiment_id));
CREATE TABLE tags(
  key VARCHAR(250) NOT NULL, value VARCHAR(250), run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT tag_pk PRIMARY KEY(key, run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs(run_uuid));
CREATE TABLE metrics(
  key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
  CONSTRAINT metric_pk PRIMARY KEY(key, timestamp, step, run_uuid, value, is_nan),
  FOREIGN KEY(run_uuid) REFERENCES runs(run_uuid));
CREATE TABLE params(
  key VARCHAR(250) NOT NULL, value VARCHAR(250) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT param_pk PRIMARY KEY(key, run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs(run_uuid));
CREATE TABLE alembic_version(
  version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY(version_num));
INSERT INTO alembic_version VALUES('181f10493468');
)";

constexpr std::array<sql::Migration, 1> kSteps = {{{1, kTables, ""}}};
const sql::Schema kMlflowSchema = {0, "MLflow store", kSteps};

// How MLflow's schema of that time names it. What was stopped is KILLED to later ones; the tag
// exp.status says it.
const char* status_name(Status status) {
  switch (status) {
    case Status::kRunning:
      return "RUNNING";
    case Status::kQueued:
      return "SCHEDULED";
    case Status::kDone:
      return "FINISHED";
    default:
      return "FAILED";
  }
}

// A folder as a URI (RFC 3986): # and ? of a path would end it.
std::string address_of(const fs::path& folder) {
  std::string out = "file:";
  for (const char c : folder.string()) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::string mlflow_name(const std::string& name) {
  std::string out = name;
  for (char& c : out) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string("_-. /").find(c) == std::string::npos)
      c = '_';
  }
  // A name must be a plain relative path.
  if (out.empty() || out.front() == '/' || out.find("..") != std::string::npos ||
      out.find("//") != std::string::npos) {
    for (char& c : out) {
      if (c == '/') c = '_';
    }
    for (size_t at; (at = out.find("..")) != std::string::npos;) out[at] = '_';
  }
  return out.empty() ? "_" : out;
}

// In one transaction, and beside its place until it is whole.
struct MlflowStore::Open {
  explicit Open(const fs::path& path)
      : file(path), db(sql::Database::open(file.path(), kMlflowSchema)), transaction(db) {}

  AtomicFile file;
  sql::Database db;
  sql::Transaction transaction;
};

MlflowStore::MlflowStore(fs::path folder)
    : folder_(std::move(folder)), open_(std::make_unique<Open>(folder_ / "mlflow.db")) {}

MlflowStore::~MlflowStore() = default;

int64_t MlflowStore::experiment(const std::string& name) {
  const auto at = experiments_.find(name);
  if (at != experiments_.end()) return at->second;
  const auto id = static_cast<int64_t>(experiments_.size()) + 1;
  experiments_.emplace(name, id);
  open_->db.prepare("INSERT INTO experiments VALUES(?,?,?,'active')")
      .run(id, name, address_of(fs::absolute(folder_ / "artifacts" / std::to_string(id))));
  return id;
}

void MlflowStore::begin(const RunInfo& run) {
  const int64_t id = experiment(run.name.empty() ? "exp" : run.name);
  run_ = sha256(run.uid).substr(0, 32);
  const fs::path artifacts = fs::absolute(folder_ / "artifacts" / std::to_string(id) / run_);
  open_->db.prepare("INSERT INTO runs VALUES(?,?,'LOCAL','','','exp',?,?,?,'','active',?,?)")
      .run(run_, run.uid, status_name(run.status), run.created_ns / kNsPerMs,
           run.ended_ns == 0 ? std::optional<int64_t>() : run.ended_ns / kNsPerMs,
           address_of(artifacts), id);
  auto param = open_->db.prepare("INSERT OR REPLACE INTO params VALUES(?,?,?)");
  for (const auto& [key, value] : run.params) param.run(mlflow_name(key), to_text(value), run_);
  auto tag = open_->db.prepare("INSERT OR REPLACE INTO tags VALUES(?,?,?)");
  tag.run("mlflow.runName", run.uid, run_);
  tag.run("exp.uid", run.uid, run_);
  tag.run("exp.status", text(run.status), run_);
  if (!run.notes.empty()) tag.run("mlflow.note.content", run.notes, run_);
  if (!run.sweep.empty()) tag.run("exp.sweep", run.sweep, run_);
  for (const std::string& one : run.tags) tag.run(mlflow_name("exp.tag." + one), "true", run_);
}

// NaN is a flag; infinity the largest number, as MLflow stores it.
void MlflowStore::metric(const Curve& curve, int rank) {
  const std::string name =
      mlflow_name(rank == 0 ? curve.metric : fmt::format("{}.rank{}", curve.metric, rank));
  auto put = open_->db.prepare(
      "INSERT OR IGNORE INTO metrics(key, value, timestamp, run_uuid, step, is_nan) "
      "VALUES(?,?,?,?,?,?)");
  constexpr double kMost = std::numeric_limits<double>::max();
  for (const Point& point : curve.points) {
    const bool is_nan = std::isnan(point.value);
    put.run(name, is_nan ? 0.0 : std::clamp(point.value, -kMost, kMost), point.time_ns / kNsPerMs,
            run_, point.step, is_nan ? 1 : 0);
  }
}

void MlflowStore::close() {
  open_->transaction.commit();
  open_->db.settle();
  open_->file.commit();
}

}  // namespace xp::tracker
