#include "tracker/index.h"

#include <algorithm>
#include <map>

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tracker/process.h"
#include "tracker/run_db.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr size_t kRunsAtOnce = 500;  // runs of one transaction
constexpr size_t kUidLetters = 26;

/// Names in a folder; empty when it is not there. Throws Error (kData) when it cannot be read: what
/// is not seen is not gone.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) return out;
  for (const fs::directory_iterator end; !error && it != end; it.increment(error))
    out.push_back(it->path().filename().string());
  if (error) {
    throw Error(fmt::format("cannot read {}: {}", folder.string(), error.message()), Exit::kData);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string stamp_of(const fs::path& file) {
  std::string out;
  for (const char* tail : {"", "-wal"}) {
    struct stat info {};
    if (::stat((file.string() + tail).c_str(), &info) != 0) continue;
    out += fmt::format("{}.{}.{} ", info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size);
  }
  return out;
}

void copy_value(const sql::Statement& from, int column, sql::Statement& to, int parameter) {
  switch (from.column_type(column)) {
    case SQLITE_NULL:
      to.bind(parameter, nullptr);
      return;
    case SQLITE_INTEGER:
      to.bind(parameter, from.integer(column));
      return;
    case SQLITE_FLOAT:
      to.bind(parameter, from.real(column));
      return;
    default:
      to.bind(parameter, from.text_view(column));
  }
}

}  // namespace

Status derive_status(std::string_view state, int attempts, const ProcessId& process,
                     int64_t heartbeat_ns, int64_t now_ns) {
  if (state == "done") return Status::kDone;
  if (state == "failed") return Status::kFailed;
  if (state == "interrupted") return Status::kInterrupted;
  if (state == "preempted") return Status::kPreempted;
  if (attempts == 0) return Status::kQueued;
  switch (life_of(process)) {
    case Life::kAlive:
      return Status::kRunning;
    case Life::kDead:
      return Status::kLost;
    case Life::kUnknown:
      break;
  }
  return now_ns - heartbeat_ns < kLostAfterNs ? Status::kRunning : Status::kLost;
}

int64_t sign_of_life(int64_t heartbeat_ns, int64_t now_ns, const fs::path& run_db) {
  if (heartbeat_ns <= now_ns) return heartbeat_ns;
  int64_t written = 0;
  for (const char* part : {"", "-wal"}) {
    struct stat info {};
    if (::stat((run_db.string() + part).c_str(), &info) == 0)
      written = std::max(written, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
  }
  return written == 0 ? now_ns : std::min({heartbeat_ns, written, now_ns});
}

namespace {

/// A copy of the index in memory, for a store that cannot be written.
sql::Database in_memory(const fs::path& file) {
  sql::Database memory = sql::Database::memory(kIndexSchema);
  try {
    memory.load(sql::Database::read(file, kIndexSchema));
  } catch (const sql::SqlError&) {
    memory = sql::Database::memory(kIndexSchema);  // no index yet, or a broken one: from nothing
  }
  return memory;
}

}  // namespace

sql::Database Index::open(const fs::path& workspace, std::vector<std::string>& warnings) {
  const fs::path file = workspace / "index.db";
  const auto remove = [&] {
    std::error_code ignored;
    for (const char* tail : {"", "-wal", "-shm", "-journal"})
      fs::remove(file.string() + tail, ignored);
  };
  try {
    if (::access(workspace.c_str(), W_OK) != 0) return in_memory(file);
    return sql::Database::open(file, kIndexSchema);
  } catch (const sql::SqlError& error) {
    if (!error.corrupt()) {
      if (error.busy() || !error.of_the_disk()) throw;
      return in_memory(file);  // a full or failing disk: the runs can be read all the same
    }
    warnings.push_back(
        fmt::format("{} was broken and is made again ({})", file.string(), error.message()));
  }
  const auto lock = FileLock::acquire(workspace / "index.lock", [] { return true; });
  remove();
  return sql::Database::open(file, kIndexSchema);
}

Index::Index(fs::path workspace)
    : workspace_(std::move(workspace)), db_(open(workspace_, warnings_)) {
  db_.exec("PRAGMA foreign_keys=ON");
}

void Index::rebuild(const std::string& why) {
  warnings_.clear();
  if (!why.empty()) {
    warnings_.push_back(
        fmt::format("{} was broken and is made again ({})", db_.file().string(), why));
  }
  const fs::path file = workspace_ / "index.db";
  db_ = sql::Database::memory(kIndexSchema);
  if (::access(workspace_.c_str(), W_OK) == 0) {
    const auto lock = FileLock::acquire(workspace_ / "index.lock", [] { return true; });
    std::error_code ignored;
    for (const char* tail : {"", "-wal", "-shm", "-journal"})
      fs::remove(file.string() + tail, ignored);
    db_ = sql::Database::open(file, kIndexSchema);
  }
  refresh();
}

void Index::refresh() {
  try {
    look();
  } catch (const sql::SqlError& error) {
    if (error.corrupt() || error.busy() || !error.of_the_disk()) throw;
    db_ = in_memory(workspace_ / "index.db");
    look();
  }
}

void Index::look() {
  std::map<std::string, bool> known;  // uid -> settled
  for (auto rows = db_.prepare("SELECT uid, settled FROM run"); rows.step();) {
    known.emplace(rows.text(0), rows.integer(1) != 0);
  }
  const std::vector<std::string> marks = names_in(workspace_ / "changed");
  std::set<std::string> changed;
  for (const std::string& mark : marks) changed.insert(mark.substr(0, kUidLetters));

  std::vector<std::string> stale, gone;
  const std::vector<std::string> present = names_in(workspace_ / "runs");
  for (const std::string& uid : present) {
    const auto at = known.find(uid);
    if (at == known.end() || !at->second || changed.count(uid) != 0) stale.push_back(uid);
  }
  for (const auto& [uid, settled] : known) {
    if (!std::binary_search(present.begin(), present.end(), uid)) gone.push_back(uid);
  }
  if (!changed.empty()) {
    for (const std::string& uid : changed)
      db_.prepare("UPDATE run SET stamp='' WHERE uid=?").run(uid);
  }
  for (const std::string& uid : gone) db_.prepare("DELETE FROM run WHERE uid=?").run(uid);
  refresh_runs(stale);
  // Only now: had we died before, the next reader would look again.
  std::error_code ignored;
  for (const std::string& mark : marks) fs::remove(workspace_ / "changed" / mark, ignored);
  for (auto rows = db_.prepare("SELECT uid, error FROM run WHERE status='broken' ORDER BY uid");
       rows.step();) {
    warnings_.push_back(fmt::format("run {} cannot be read: {}", rows.text(0), rows.text(1)));
  }
}

void Index::refresh_runs(const std::vector<std::string>& uids) {
  for (size_t from = 0; from < uids.size(); from += kRunsAtOnce) {
    sql::Transaction transaction(db_);
    for (size_t i = from; i < std::min(uids.size(), from + kRunsAtOnce); ++i) refresh_run(uids[i]);
    if (from + kRunsAtOnce >= uids.size()) derive_statuses();
    transaction.commit();
  }
}

void Index::refresh_run(const std::string& uid) {
  const fs::path folder = workspace_ / "runs" / uid;
  std::error_code none;
  if (!fs::exists(folder / "run.db", none)) return;  // being made just now
  std::string error;
  bool unheld = false;
  try {
    if (::access(folder.c_str(), W_OK) == 0) {
      // Nobody writes it: what is left in its ring and inbox is taken in here.
      if (const auto lock = lock_unwritten(folder)) {
        unheld = true;
        recover(folder);
      }
    } else {
      unheld = true;
    }
  } catch (const sql::SqlError& problem) {
    // A full disk is no fault of the run: it is shown as far as it is stored, its ring overlaid.
    if (problem.corrupt()) error = problem.message();
    unheld = false;
  } catch (const Error& problem) {
    unheld = false;
    error = problem.code() == Exit::kFailed ? "" : problem.message();
  }
  const std::string stamp = stamp_of(folder / "run.db");
  auto row = db_.prepare("SELECT stamp FROM run WHERE uid=?");
  row.query(uid);
  const bool fresh = row.step() && row.text_view(0) == stamp;
  row.reset();
  if (fresh && !unheld) return;
  try {
    if (error.empty()) return copy_run(uid, stamp, unheld);
  } catch (const Error& problem) {
    error = problem.message();
  }
  store_broken(uid, stamp, error);
}

void Index::store_broken(const std::string& uid, const std::string& stamp,
                         const std::string& error) {
  db_.prepare("DELETE FROM run WHERE uid=?").run(uid);
  db_.prepare(
         "INSERT INTO run(uid, name, recipe_path, recipe_hash, parent, sweep, created_ns, "
         "attempts, host, boot_id, "
         "pid_ns, pid, pid_start, started_ns, heartbeat_ns, ended_ns, state, status, error, "
         "location, tags, notes, "
         "settled, stamp) "
         "VALUES(?,'','','','','',0,0,'','','',0,0,0,0,0,'broken','broken',?,'','[]','',0,?)")
      .run(uid, error, stamp);
}

int64_t Index::key(std::string_view name) {
  auto find = db_.prepare("SELECT id FROM key WHERE name=?");
  find.query(name);
  if (find.step()) return find.integer(0);
  db_.prepare("INSERT INTO key(name) VALUES(?)").run(name);
  return sqlite3_last_insert_rowid(db_.handle());
}

void Index::copy_run(const std::string& uid, const std::string& stamp, bool unheld) {
  const sql::Database from = read_run(workspace_ / "runs" / uid);
  auto run =
      from.prepare("SELECT name, recipe_path, recipe_hash, parent, sweep, created_ns FROM run");
  if (!run.step())
    throw Error(fmt::format("{}: there is no run in it", from.file().string()), Exit::kData);
  auto attempt = from.prepare(
      "SELECT k, host, boot_id, pid_ns, pid, pid_start, heartbeat_ns, COALESCE(ended_ns, 0), "
      "COALESCE(state, ''), "
      "message, location, (SELECT MIN(started_ns) FROM attempt) FROM attempt ORDER BY k DESC LIMIT "
      "1");
  const bool begun = attempt.step();
  ProcessId process;
  if (begun) {
    process = {attempt.text(1), attempt.text(2), attempt.text(3), attempt.integer(4),
               attempt.integer(5)};
  }
  const std::string state = begun ? attempt.text(8) : "";
  const int attempts = begun ? static_cast<int>(attempt.integer(0)) : 0;
  const int64_t now = wall_ns();
  const int64_t heartbeat = begun ? sign_of_life(attempt.integer(6), now, from.file()) : 0;
  const Status status = derive_status(state, attempts, process, heartbeat, now);
  // An unheld run changes no more until somebody marks it; one of another host, unless its lock
  // says nothing.
  const bool settled = unheld && status != Status::kRunning;

  std::vector<std::string> tags;
  for (auto rows = from.prepare("SELECT tag FROM tag ORDER BY tag"); rows.step();)
    tags.push_back(rows.text(0));
  std::string notes;
  for (auto rows = from.prepare("SELECT text FROM note ORDER BY t_ns, id"); rows.step();) {
    notes += (notes.empty() ? "" : "\n") + rows.text(0);
  }
  const std::string none;
  const auto text_of = [&](int column) { return begun ? attempt.text(column) : none; };
  const auto integer_of = [&](int column) { return begun ? attempt.integer(column) : int64_t{0}; };

  db_.prepare("DELETE FROM run WHERE uid=?").run(uid);
  db_.prepare(
         "INSERT INTO run(uid, name, recipe_path, recipe_hash, parent, sweep, created_ns, "
         "attempts, host, boot_id, "
         "pid_ns, pid, pid_start, started_ns, heartbeat_ns, ended_ns, state, status, error, "
         "location, tags, notes, "
         "settled, stamp) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
      .run(uid, run.text(0), run.text(1), run.text(2), run.text(3), run.text(4), run.integer(5),
           attempts, process.host, process.boot, process.pid_namespace, process.pid, process.start,
           integer_of(11), heartbeat, integer_of(7), state, text(status), text_of(9), text_of(10),
           nlohmann::json(tags).dump(), notes, settled, stamp);
  const int64_t id = sqlite3_last_insert_rowid(db_.handle());

  auto put_tag = db_.prepare("INSERT INTO tag(run, tag) VALUES(?,?)");
  for (const std::string& tag : tags) put_tag.run(id, tag);
  auto put_param = db_.prepare("INSERT INTO param(run, key, type, value) VALUES(?,?,?,?)");
  for (auto rows = from.prepare("SELECT key, type, value FROM param"); rows.step();) {
    put_param.bind(1, id).bind(2, key(rows.text_view(0))).bind(3, rows.text_view(1));
    copy_value(rows, 2, put_param, 4);
    put_param.step();
  }
  auto put = db_.prepare(
      "INSERT INTO summary(run, key, unit, grain, n, nans, first_nan_step, last, last_bits, "
      "last_step, min, min_step, "
      "max, max_step, reused) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  auto rows = from.prepare(
      "SELECT m.name, m.unit, m.grain, s.n, s.nans, s.first_nan_step, s.last, s.last_bits, "
      "s.last_step, s.min, "
      "s.min_step, s.max, s.max_step, s.reused FROM summary s JOIN metric m ON m.id=s.metric_id "
      "WHERE s.rank=0");
  while (rows.step()) {
    put.bind(1, id).bind(2, key(rows.text_view(0)));
    for (int column = 1; column < 14; ++column) copy_value(rows, column, put, column + 2);
    put.step();
  }
}

void Index::derive_statuses() {
  const int64_t now = wall_ns();
  std::vector<std::pair<int64_t, Status>> updates;
  auto rows = db_.prepare(
      "SELECT id, state, attempts, host, boot_id, pid_ns, pid, pid_start, heartbeat_ns, status "
      "FROM run "
      "WHERE settled=0 AND state=''");
  while (rows.step()) {
    const ProcessId process{rows.text(3), rows.text(4), rows.text(5), rows.integer(6),
                            rows.integer(7)};
    const Status status = derive_status(rows.text_view(1), static_cast<int>(rows.integer(2)),
                                        process, rows.integer(8), now);
    if (text(status) != rows.text_view(9)) updates.emplace_back(rows.integer(0), status);
  }
  for (const auto& [id, status] : updates)
    db_.prepare("UPDATE run SET status=? WHERE id=?").run(text(status), id);
}

}  // namespace xp::tracker
