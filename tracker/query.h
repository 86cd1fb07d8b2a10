#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracker/run_sink.h"
#include "tracker/value.h"

namespace xp::tracker {

namespace sql {
class Database;
}

/// The state of a run as a reader derives it now: RUNNING and LOST are never stored.
enum class Status : uint8_t {
  kQueued,
  kRunning,
  kDone,
  kFailed,
  kInterrupted,
  kPreempted,
  kLost,    ///< its process is gone and nobody said how it ended
  kBroken,  ///< its run.db cannot be read; RunInfo::error says why
};
std::string_view text(Status status);  ///< "queued", "running", ...

/// What is known of a metric without reading its points. Over the shown points of rank 0.
struct MetricSummary {
  Unit unit = Unit::kNone;
  Grain grain = Grain::kStep;
  double last = 0;
  int64_t last_step = 0;
  double min = 0, max = 0;  ///< over the points that are numbers; NaN when there is none
  int64_t min_step = 0, max_step = 0;
  int64_t n = 0;
  int64_t nans = 0;
  int64_t first_nan_step = -1;
  bool reused = false;  ///< of a cached stage: computed by another run
};

struct RunInfo {
  std::string uid, name;
  Status status = Status::kQueued;
  int64_t created_ns = 0, started_ns = 0, ended_ns = 0;  ///< wall clock; 0 = not yet
  int attempts = 0;
  std::string host;
  std::vector<std::string> tags;
  std::string notes, recipe_path, recipe_hash, sweep, parent;
  std::string error, where;  ///< of a failed or broken run
  std::map<std::string, Value, std::less<>> params;
  std::map<std::string, MetricSummary, std::less<>> metrics;
};

/// One point as shown: each step once, the newest attempt wins.
struct Point {
  int64_t step = 0;
  int64_t time_ns = 0;
  double value = 0;
  int attempt = 0;
};

struct Curve {
  std::string uid, metric;
  Unit unit = Unit::kNone;
  Grain grain = Grain::kStep;
  bool reused = false;  ///< the curve of a cached stage
  std::vector<Point> points;
};

/// Which runs, and how much of each.
struct Selection {
  std::string filter;             ///< docs/filters.md: "status=done and tome.r>=16"; empty = all
  std::vector<std::string> uids;  ///< only these; empty = all
  std::vector<std::string> sort;  ///< "-eval.mAP", "tome.r"; empty = newest first
  size_t limit = 0;               ///< 0 = all
  std::optional<std::vector<std::string>>
      keys;  ///< params and metrics to fetch; nullopt = every one
};

/// What an attempt was started with that the one before was not: name, recipe or a parameter.
struct Change {
  std::string key;
  std::optional<std::string> was, now;  ///< nullopt: there was, is none
};

struct Attempt {
  int number = 0;
  Status status = Status::kLost;
  std::string host, error, where, slurm_job;
  int64_t pid = 0, started_ns = 0, heartbeat_ns = 0, ended_ns = 0;
  int exit_code = -1;  ///< -1 = not known
  std::vector<std::string> argv;
  std::vector<Change> changes;
};

struct StageInfo {
  std::string name, kind, key;
  std::string folder;  ///< of its output in the cache; "" while its key is not known for good
  bool reused = false;
  std::string state;  ///< running, done, failed, interrupted, preempted
  int64_t started_ns = 0, ended_ns = 0;
};

struct ArtifactInfo {
  std::string name, kind, sha256, stage;
  int64_t bytes = 0, step = -1, time_ns = 0;
  std::filesystem::path path;  ///< the stored copy
};

struct EventInfo {
  int64_t time_ns = 0;
  Level level = Level::kInfo;
  std::string text;
};

/// Everything else of one run, for `exp show` and reports.
struct RunDetail {
  std::vector<Attempt> attempts;
  std::vector<StageInfo> stages;
  std::vector<ArtifactInfo> artifacts;
  std::vector<EventInfo> events;
  std::map<std::string, std::string>
      facts;  ///< host, CPU, GPUs, versions, environment, git: docs/formats/tracker.md
  std::map<std::string, std::string> sources;  ///< param -> the place that set it
  std::string recipe_toml;
  std::vector<std::string> argv;
};

/// One key whose value is not the same in all runs compared.
struct Difference {
  std::string key;
  std::vector<std::optional<Value>> values;  ///< one a run, nullopt where it has none
};

/// Reads a workspace. Never needs the writers' help, works on a read-only store, takes live runs as
/// they are. One thread at a time.
class Query {
 public:
  /// `folder` is the `.exp` of the workspace. Brings index.db up to date first, and makes it again
  /// when it is corrupt. Throws Error (kData) when there is no such folder.
  explicit Query(std::filesystem::path folder);
  ~Query();
  Query(Query&&) noexcept;

  /// Looks again at what changed since.
  void refresh();

  /// Makes index.db again from nothing.
  void rebuild();

  /// Throws Error with its place in the filter for a key that no run has ("did you mean
  /// 'eval.mAP'?").
  std::vector<RunInfo> runs(const Selection& selection);

  /// The uid that `text` means: a uid, a unique beginning or end of one (4 letters at least),
  /// "last", "last-2" (broken runs not counted), or the name of an experiment (its newest run).
  /// Throws Error when it means none or several.
  std::string find(std::string_view text);

  RunInfo run(std::string_view uid);
  RunDetail detail(std::string_view uid);

  /// The points of a metric; empty when the run has none. `rank` other than 0 for per-rank series.
  Curve curve(std::string_view uid, std::string_view metric, int rank = 0);
  /// Every point of every attempt, also those that a later attempt replaced.
  Curve curve_of_attempt(std::string_view uid, std::string_view metric, int attempt, int rank = 0);
  std::vector<Curve> curves(const std::vector<std::string>& uids,
                            const std::vector<std::string>& metrics);
  /// Names of all metrics of a run, with the ranks that have them.
  std::vector<std::pair<std::string, std::vector<int>>> metric_names(std::string_view uid);

  /// Parameters that are not equal in all of `uids` (empty = all runs) that can be read, sorted by
  /// key.
  std::vector<Difference> differing(const std::vector<std::string>& uids);

  /// A copy of index.db in memory, for `exp sql`.
  sql::Database index_copy();

  /// Every key that a filter may name: fields, params and metrics.
  std::vector<std::string> keys();

  /// Runs whose run.db is broken, and other things worth a warning line.
  std::vector<std::string> warnings() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::tracker
