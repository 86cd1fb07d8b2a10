#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/inbox.h"
#include "tracker/process.h"
#include "tracker/ring.h"
#include "tracker/series.h"
#include "tracker/sqlite.h"
#include "tracker/store.h"

/// The rows of run.db, as its one writer changes them. Every function runs inside the caller's
/// transaction.
namespace xp::tracker {

/// Writes a run down: its run.db is built beside its place and renamed, so that it is there whole,
/// with its first attempt by `process` (nullopt: one that is queued), or not at all. Throws Error.
void make_run_db(const std::filesystem::path& run_folder, std::string_view uid, const NewRun& run,
                 int64_t created_ns, const std::optional<ProcessId>& process);

/// Stores the run where it is not yet, as in a run.db of an earlier version whose process was
/// killed.
void require_run(sql::Database& db, std::string_view uid, const NewRun& run, int64_t created_ns);

/// One row of `param`, new or in place of the one that has its key.
void put_param(sql::Database& db, const Param& param);
/// A parameter's value, from the columns that say its type and hold it.
Value read_value(const sql::Statement& row, int type, int value);

/// The number of the new attempt.
int begin_attempt(sql::Database& db, const ProcessId& process, const NewRun& run);
void end_attempt(sql::Database& db, int attempt, std::string_view state, std::string_view message,
                 std::string_view where, int exit_code, uint64_t dropped);

/// Takes requests in; true when one of them asks to stop. They are still to be acknowledged.
bool apply_requests(sql::Database& db, int attempt, const std::vector<Request>& requests);

void set_fact(sql::Database& db, std::string_view key, std::string_view value);

/// A metric's name on its way through a ring: "STAGE<unit separator>name".
std::string ring_name(std::string_view stage, std::string_view name);

/// Moves one ring's points to run.db.
class RingTaker {
 public:
  RingTaker(std::unique_ptr<Ring> ring, std::filesystem::path file, const sql::Database& db);
  /// For a ring that somebody else owns.
  RingTaker(Ring* ring, const sql::Database& db);

  /// Inside a transaction: up to `limit` points into `series`, and how far. Returns how many
  /// positions were looked at.
  uint64_t take(sql::Database& db, SeriesWriter& series, size_t limit, bool skip_holes);
  /// Points that found the ring full and were kept in memory, with the ring's own metric indices.
  void take_extra(SeriesWriter& series, const std::vector<RingPoint>& points);
  /// After the commit: frees what was taken.
  void committed();

  bool abandoned() const;  ///< the process that filled it is dead
  uint64_t position() const { return position_; }
  bool empty() const { return position_ >= ring_->head(); }
  const Ring& ring() const { return *ring_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  void load(const sql::Database& db);
  void learn_names(SeriesWriter& series);
  void add(SeriesWriter& series, const std::vector<RingPoint>& points);

  std::unique_ptr<Ring> owned_;
  Ring* ring_;
  std::filesystem::path file_;
  std::vector<int64_t> metrics_;  ///< the ring's index -> metric.id
  std::vector<RingPoint> points_;
  uint64_t position_ = 0, released_ = 0;
};

/// Key of a ring in table `ring`.
std::string ring_key(const Ring& ring);

/// Ring files of a run folder, sorted by name.
std::vector<std::filesystem::path> ring_files(const std::filesystem::path& run_folder);

/// Brings a run that nobody writes to its full state: takes in rings and inbox, removes what is
/// done with. The caller holds the run's lock. Cheap when there is nothing to do (then run.db is
/// not opened). Returns whether it changed anything. Throws SqlError.
bool recover(const std::filesystem::path& run_folder);

/// The lock of a run that nobody writes, or nullopt. The lock file alone does not say so: where it
/// was removed, the process that the ring names still writes, and takes a lock again in a moment.
std::optional<FileLock> lock_unwritten(const std::filesystem::path& run_folder);

/// Opens a run for reading. On a network file system a live run's run.db is locked by its writer;
/// then its newest copy, live.db, is read, which the writer makes with every heartbeat.
sql::Database read_run(const std::filesystem::path& run_folder);

/// Adds the points of a metric that are in the rings of a run and not yet in `db`.
void add_ring_points(const sql::Database& db, const std::filesystem::path& run_folder,
                     const MetricRow& metric, int rank, std::vector<Point>& points);

/// A free-standing copy of one stage's metrics: shown points, relative names, written to `file` by
/// rename.
void write_curves(const sql::Database& run, std::string_view stage,
                  const std::filesystem::path& file);

/// Takes over the shown points of a stage of another run, as attempt 0.
void import_stage(sql::Database& db, SeriesWriter& series, const sql::Database& from,
                  std::string_view from_stage, std::string_view stage);

/// The metrics of a cached stage, named as this run names the stage: final values and ranges,
/// marked as reused; the points stay in `curves`. False where there is no such file.
bool attach_curves(sql::Database& db, SeriesWriter& series, std::string_view stage,
                   const std::filesystem::path& curves);

/// The same of an output without curves: its final values alone, without units.
void attach_values(sql::Database& db, SeriesWriter& series, std::string_view stage,
                   const std::map<std::string, double>& values);

}  // namespace xp::tracker
