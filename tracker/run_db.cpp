#include "tracker/run_db.h"

#include <algorithm>
#include <limits>

#include <sqlite3.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tracker/file_system.h"
#include "tracker/inbox.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr char kSeparator = '\x1f';

std::string json_list(const std::vector<std::string>& words) {
  return nlohmann::json(words).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string slurm_job() {
  const char* job = std::getenv("SLURM_JOB_ID");
  const char* array = std::getenv("SLURM_ARRAY_JOB_ID");
  const char* task = std::getenv("SLURM_ARRAY_TASK_ID");
  if (array && task) return fmt::format("{}_{}", array, task);
  return job ? job : "";
}

}  // namespace

void put_param(sql::Database& db, const Param& param) {
  auto put = db.prepare("INSERT OR REPLACE INTO param(key, type, value, source) VALUES(?,?,?,?)");
  struct Visitor {
    sql::Statement& put;
    const Param& param;
    void operator()(bool value) const { put.run(param.key, "bool", value ? 1 : 0, param.source); }
    void operator()(int64_t value) const { put.run(param.key, "int", value, param.source); }
    void operator()(double value) const { put.run(param.key, "float", value, param.source); }
    void operator()(const std::string& value) const {
      put.run(param.key, "string", value, param.source);
    }
    void operator()(const Json& value) const {
      put.run(param.key, "json", value.text, param.source);
    }
  };
  std::visit(Visitor{put, param}, param.value);
}

Value read_value(const sql::Statement& row, int type, int value) {
  const std::string_view name = row.text_view(type);
  if (name == "bool") return row.integer(value) != 0;
  if (name == "int") return row.integer(value);
  if (name == "float")
    return row.is_null(value) ? std::numeric_limits<double>::quiet_NaN() : row.real(value);
  if (name == "json") return Json{row.text(value)};
  return row.text(value);
}

namespace {

void insert_run(sql::Database& db, std::string_view uid, const NewRun& run, int64_t created_ns) {
  db.prepare(
        "INSERT INTO run(uid, name, recipe_path, recipe_hash, recipe_toml, argv, parent, sweep, "
        "created_ns) "
        "VALUES(?,?,?,?,?,?,?,?,?)")
      .run(uid, run.name, run.recipe_path, run.recipe_hash, run.recipe_toml, json_list(run.argv),
           run.parent, run.sweep, created_ns);
  for (const Param& one : run.params) put_param(db, one);
  auto tag = db.prepare("INSERT OR IGNORE INTO tag(tag) VALUES(?)");
  for (const std::string& one : run.tags) tag.run(one);
  if (!run.notes.empty()) {
    db.prepare("INSERT INTO note(id, t_ns, text) VALUES(?,?,?)")
        .run(make_ulid(), created_ns, run.notes);
  }
}

}  // namespace

void make_run_db(const fs::path& run_folder, std::string_view uid, const NewRun& run,
                 int64_t created_ns, const std::optional<ProcessId>& process) {
  // The name is AtomicFile's; its ending is that of what a killed process leaves.
  AtomicFile aside(run_folder / "run.db");
  sql::Database db = sql::Database::open(aside.path(), kRunSchema);
  {
    sql::Transaction transaction(db);
    insert_run(db, uid, run, created_ns);
    if (process) begin_attempt(db, *process, run);
    transaction.commit();
  }
  db.settle();
  aside.commit();
}

void require_run(sql::Database& db, std::string_view uid, const NewRun& run, int64_t created_ns) {
  if (!db.prepare("SELECT 1 FROM run").step()) insert_run(db, uid, run, created_ns);
}

int begin_attempt(sql::Database& db, const ProcessId& process, const NewRun& run) {
  db.prepare(
        "INSERT INTO attempt(k, host, boot_id, pid_ns, pid, pid_start, slurm_job, argv, "
        "started_ns, heartbeat_ns) "
        "VALUES((SELECT COALESCE(MAX(k), 0) + 1 FROM attempt),?,?,?,?,?,?,?,?,?)")
      .run(process.host, process.boot, process.pid_namespace, process.pid, process.start,
           slurm_job(), json_list(run.argv), timeline_ns(), wall_ns());
  auto row = db.prepare("SELECT MAX(k) FROM attempt");
  row.step();
  return static_cast<int>(row.integer(0));
}

void end_attempt(sql::Database& db, int attempt, std::string_view state, std::string_view message,
                 std::string_view where, int exit_code, uint64_t dropped) {
  const int64_t now = timeline_ns();
  db.prepare(
        "UPDATE attempt SET state=?, message=?, location=?, exit_code=?, dropped=?, ended_ns=?, "
        "heartbeat_ns=? WHERE k=?")
      .run(state, message, where, exit_code, static_cast<int64_t>(dropped), now, wall_ns(),
           attempt);
  db.prepare("UPDATE stage SET state=?, ended_ns=? WHERE state='running' AND attempt=?")
      .run(state, now, attempt);
}

bool apply_requests(sql::Database& db, int attempt, const std::vector<Request>& requests) {
  bool stop = false;
  for (const Request& request : requests) {
    if (request.action == "stop") {
      stop = true;
    } else if (request.action == "tag") {
      for (const auto& tag : request.add)
        db.prepare("INSERT OR IGNORE INTO tag(tag) VALUES(?)").run(tag);
      for (const auto& tag : request.remove) db.prepare("DELETE FROM tag WHERE tag=?").run(tag);
    } else if (request.action == "note") {
      db.prepare("INSERT OR IGNORE INTO note(id, t_ns, text) VALUES(?,?,?)")
          .run(request.id, request.time_ns, request.text);
    } else if (request.action == "event") {
      db.prepare("INSERT INTO event(attempt, t_ns, level, text) VALUES(?,?,?,?)")
          .run(attempt, request.time_ns, text(request.level), request.text);
    }
  }
  return stop;
}

void set_fact(sql::Database& db, std::string_view key, std::string_view value) {
  db.prepare(
        "INSERT INTO fact(key, value) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET "
        "value=excluded.value")
      .run(key, value);
}

std::string ring_name(std::string_view stage, std::string_view name) {
  return fmt::format("{}{}{}", stage, kSeparator, name);
}

Life owner_life(const Ring& ring) {
  ProcessId owner = this_process();
  owner.pid = ring.pid();
  owner.start = ring.pid_start();
  return life_of(owner);
}

std::string ring_key(const Ring& ring) { return fmt::format("{:016x}", ring.id()); }

RingTaker::RingTaker(std::unique_ptr<Ring> ring, fs::path file, const sql::Database& db)
    : owned_(std::move(ring)), ring_(owned_.get()), file_(std::move(file)) {
  load(db);
}

RingTaker::RingTaker(Ring* ring, const sql::Database& db) : ring_(ring) { load(db); }

void RingTaker::load(const sql::Database& db) {
  auto row = db.prepare("SELECT position FROM ring WHERE id=?");
  row.query(ring_key(*ring_));
  if (row.step()) position_ = static_cast<uint64_t>(row.integer(0));
  released_ = position_;
}

void RingTaker::learn_names(SeriesWriter& series) {
  if (metrics_.size() == ring_->metric_count()) return;
  const std::vector<Ring::Metric> names = ring_->metrics();
  for (size_t i = metrics_.size(); i < names.size(); ++i) {
    const std::string_view full = names[i].name;
    const size_t at = std::min(full.find(kSeparator), full.size());
    const std::string_view name = full.substr(std::min(at + 1, full.size()));
    metrics_.push_back(series.metric(name, full.substr(0, at), names[i].unit, names[i].grain));
  }
}

void RingTaker::add(SeriesWriter& series, const std::vector<RingPoint>& points) {
  // Names are read after the points: a point's name was declared before the point was pushed.
  learn_names(series);
  for (const RingPoint& point : points) {
    if (point.metric >= metrics_.size()) continue;  // a damaged ring
    series.add(metrics_[point.metric], ring_->attempt(), ring_->rank(),
               {point.step, point.time_ns, point.value, 0});
  }
}

uint64_t RingTaker::take(sql::Database& db, SeriesWriter& series, size_t limit, bool skip_holes) {
  const uint64_t before = position_;
  const uint64_t after = ring_->peek(position_, limit, skip_holes, points_);
  if (after == before) return 0;
  add(series, points_);
  db.prepare(
        "INSERT INTO ring(id, position) VALUES(?,?) ON CONFLICT(id) DO UPDATE SET "
        "position=excluded.position")
      .run(ring_key(*ring_), static_cast<int64_t>(after));
  position_ = after;
  return after - before;
}

void RingTaker::take_extra(SeriesWriter& series, const std::vector<RingPoint>& points) {
  add(series, points);
}

bool RingTaker::abandoned() const { return owner_life(*ring_) == Life::kDead; }

void RingTaker::committed() {
  ring_->release(released_, position_);
  released_ = position_;
}

std::vector<fs::path> ring_files(const fs::path& run_folder) {
  std::vector<fs::path> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run_folder, none)) {
    if (entry.path().filename().string().starts_with("ring")) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<FileLock> lock_unwritten(const fs::path& run_folder) {
  if (const auto ring = Ring::open(run_folder / "ring", false);
      ring && ring->pid() != ::getpid() && owner_life(*ring) == Life::kAlive)
    return std::nullopt;
  return FileLock::try_acquire(run_folder / "lock");
}

bool recover(const fs::path& run_folder) {
  const std::vector<fs::path> rings = ring_files(run_folder);
  const std::vector<Request> requests = read_inbox(run_folder);
  if (rings.empty() && requests.empty()) return false;
  sql::Database db = sql::Database::open(run_folder / "run.db", kRunSchema, true);
  db.set_durability(sql::Durability::kFull);
  std::vector<fs::path> done;
  {
    sql::Transaction transaction(db);
    SeriesWriter series(db);
    for (const fs::path& file : rings) {
      auto ring = Ring::open(file, false);
      if (!ring) {
        done.push_back(file);
        continue;
      }
      RingTaker taker(std::move(ring), file, db);
      const bool alive = !taker.abandoned();
      while (taker.take(db, series, Ring::kCapacity, !alive) > 0) {
      }
      if (!alive) done.push_back(file);
    }
    auto row = db.prepare("SELECT COALESCE(MAX(k), 0) FROM attempt");
    row.step();
    apply_requests(db, static_cast<int>(row.integer(0)), requests);
    series.write();
    transaction.commit();
  }
  std::error_code ignored;
  for (const fs::path& file : done) fs::remove(file, ignored);
  for (const Request& request : requests) acknowledge(run_folder, request);
  db.settle();
  return true;
}

sql::Database read_run(const fs::path& run_folder) {
  const fs::path copy = run_folder / "live.db";
  std::error_code none;
  const bool locked = !network_file_system(run_folder).empty() && fs::exists(copy, none) &&
                      !FileLock::try_acquire(run_folder / "lock");
  return sql::Database::read(locked ? copy : run_folder / "run.db", kRunSchema);
}

void add_ring_points(const sql::Database& db, const fs::path& run_folder, const MetricRow& metric,
                     int rank, std::vector<Point>& points) {
  const std::string name = metric.name.substr(metric.stage.empty() ? 0 : metric.stage.size() + 1);
  const std::string wanted = ring_name(metric.stage, name);
  std::vector<RingPoint> waiting;
  for (const fs::path& file : ring_files(run_folder)) {
    const auto ring = Ring::open(file, false);
    if (!ring || ring->rank() != rank) continue;
    auto row = db.prepare("SELECT position FROM ring WHERE id=?");
    row.query(ring_key(*ring));
    ring->peek(row.step() ? static_cast<uint64_t>(row.integer(0)) : 0, Ring::kCapacity, true,
               waiting);
    const std::vector<Ring::Metric> names = ring->metrics();
    for (const RingPoint& point : waiting) {
      if (point.metric >= names.size() || names[point.metric].name != wanted) continue;
      points.push_back({point.step, point.time_ns, point.value, ring->attempt()});
    }
  }
}

void write_curves(const sql::Database& run, std::string_view stage, const fs::path& file) {
  AtomicFile aside(file);
  {
    sql::Database out = sql::Database::open(aside.path(), kCurvesSchema);
    sql::Transaction transaction(out);
    SeriesWriter series(out);
    const Cuts cuts = read_cuts(run);
    const auto cut = cuts.find(stage);
    for (const MetricRow& metric : read_metrics(run)) {
      if (metric.stage != stage) continue;
      for (const int rank : read_ranks(run, metric)) {
        const auto points = shown(read_points(run, metric, rank, nullptr), metric.grain,
                                  cut == cuts.end() ? std::vector<Cut>{} : cut->second);
        if (points.empty()) continue;
        const int64_t id =
            series.metric(metric.name.substr(stage.size() + 1), "", metric.unit, metric.grain);
        for (const Point& point : points) series.add(id, 1, rank, point);
      }
    }
    series.write();
    transaction.commit();
    out.settle();
  }
  aside.commit();
}

void import_stage(sql::Database& db, SeriesWriter& series, const sql::Database& from,
                  std::string_view from_stage, std::string_view stage) {
  const Cuts cuts = read_cuts(from);
  const auto cut = cuts.find(from_stage);
  for (const MetricRow& metric : read_metrics(from)) {
    if (metric.stage != from_stage) continue;
    const int64_t id =
        series.metric(metric.name.substr(from_stage.size() + 1), stage, metric.unit, metric.grain);
    db.prepare("DELETE FROM chunk WHERE metric_id=? AND attempt=0").run(id);
    db.prepare("DELETE FROM point WHERE metric_id=? AND attempt=0").run(id);
    for (const int rank : read_ranks(from, metric)) {
      const auto points = shown(read_points(from, metric, rank, nullptr), metric.grain,
                                cut == cuts.end() ? std::vector<Cut>{} : cut->second);
      for (const Point& point : points) series.add(id, 0, rank, point);
    }
  }
}

bool attach_curves(sql::Database& db, SeriesWriter& series, std::string_view stage,
                   const fs::path& curves) {
  std::error_code none;
  if (!fs::exists(curves, none)) return false;
  const sql::Database from = sql::Database::read(curves, kCurvesSchema);
  auto rows = from.prepare(
      "SELECT m.name, m.unit, m.grain, s.rank, s.n, s.nans, s.first_nan_step, s.last, s.last_bits, "
      "s.last_step, "
      "s.last_ns, s.min, s.min_step, s.max, s.max_step FROM summary s JOIN metric m ON m.id = "
      "s.metric_id");
  auto put = db.prepare(
      "INSERT OR REPLACE INTO summary(metric_id, rank, n, nans, first_nan_step, last, last_bits, "
      "last_step, last_ns, "
      "min, min_step, max, max_step, reused) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,1)");
  while (rows.step()) {
    put.bind(1, series.metric(rows.text(0), stage, unit_of(rows.text_view(1)),
                              grain_of(rows.text_view(2))));
    for (int column = 3; column < rows.columns(); ++column) {
      const int parameter = column - 1;
      if (rows.is_null(column)) {
        put.bind(parameter, nullptr);
      } else if (rows.column_type(column) == SQLITE_FLOAT) {
        put.bind(parameter, rows.real(column));
      } else {
        put.bind(parameter, rows.integer(column));
      }
    }
    put.step();
  }
  return true;
}

void attach_values(sql::Database& db, SeriesWriter& series, std::string_view stage,
                   const std::map<std::string, double>& values) {
  auto put = db.prepare(
      "INSERT OR IGNORE INTO summary(metric_id, rank, n, nans, last, last_step, last_ns, min, "
      "min_step, max, max_step, reused) VALUES(?,0,1,0,?,0,?,?,0,?,0,1)");
  for (const auto& [name, value] : values) {
    const int64_t metric = series.metric(name, stage, Unit::kNone, Grain::kFinal);
    put.run(metric, value, timeline_ns(), value, value);
  }
}

}  // namespace xp::tracker
