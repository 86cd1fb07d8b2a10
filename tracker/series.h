#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tracker/chunk.h"
#include "tracker/query.h"
#include "tracker/run_sink.h"
#include "tracker/sqlite.h"

namespace xp::tracker {

/// What `summary` keeps of one series. `last` is the value at the greatest step (of equal steps the
/// newest).
struct Stats {
  int64_t n = 0, nans = 0;
  int64_t first_nan_step = -1;
  double last = 0;
  int64_t last_step = 0, last_ns = 0;
  double min = 0, max = 0;  ///< meaningless while n == nans
  int64_t min_step = 0, max_step = 0;

  void add(int64_t step, int64_t time_ns, double value);
  bool has_range() const { return n > nans; }
};

/// Reads the stats of a row that holds n, nans, first_nan_step, last, last_bits, last_step, min,
/// min_step, max, max_step from column `first` on.
MetricSummary read_summary(const sql::Statement& row, int first);

/// NULL unless REAL loses the value: NaN and -0.0.
std::optional<int64_t> bits_of(double value);
double value_of(const sql::Statement& row, int value_column, int bits_column);

struct MetricRow {
  int64_t id = 0;
  std::string name, stage;
  Unit unit = Unit::kNone;
  Grain grain = Grain::kStep;
};

Unit unit_of(std::string_view text);
Grain grain_of(std::string_view text);
std::vector<MetricRow> read_metrics(const sql::Database& database);

/// From attempt `attempt` on, the stage's points of earlier attempts beyond these counts are not
/// shown.
struct Cut {
  int attempt;
  int64_t step, epoch;
};
using Cuts = std::map<std::string, std::vector<Cut>, std::less<>>;  ///< by stage
Cuts read_cuts(const sql::Database& run);

/// Keeps of `points` what is shown: not cut away, each step once, of the newest attempt (then
/// time); by step.
std::vector<Point> shown(std::vector<Point> points, Grain grain, const std::vector<Cut>& cuts);

/// All stored points of one series, unordered. A block with a wrong checksum is left out and named
/// in `warnings`.
std::vector<Point> read_points(const sql::Database& database, const MetricRow& metric, int rank,
                               std::vector<std::string>* warnings);

/// Ranks that have points of the metric.
std::vector<int> read_ranks(const sql::Database& database, const MetricRow& metric);

/// Appends points to the metric tables of a run.db or curves.db: blocks, plain rows, summaries. All
/// calls between two `write`s belong to one transaction of the caller's; after a failed one the
/// object must be made anew.
class SeriesWriter {
 public:
  explicit SeriesWriter(sql::Database& database);

  /// The id of a metric in this database, made when absent. The full name is "STAGE.name", or
  /// `name` without stage.
  int64_t metric(std::string_view name, std::string_view stage, Unit unit, Grain grain);

  void add(int64_t metric, int attempt, int rank, const Point& point);

  /// Stores what `add` gathered.
  void write();

  /// Computes the summaries of a stage anew from its shown points.
  void summarise(std::string_view stage, const Cuts& cuts);

 private:
  struct Block {
    int64_t seq = 0;
    Columns columns;
    bool dirty = false;
  };
  struct Summary {
    Stats stats;
    bool dirty = false;
  };
  using SeriesKey = std::tuple<int64_t, int, int>;  // metric, rank, attempt

  Block& block(const SeriesKey& key);
  Summary& summary(int64_t metric, int rank);
  void store(const SeriesKey& key, Block& block);
  void store(int64_t metric, int rank, Summary& summary);

  sql::Database& database_;
  std::map<std::string, MetricRow, std::less<>> metrics_;
  std::map<int64_t, Grain> grains_;
  std::map<SeriesKey, Block> blocks_;
  std::map<std::pair<int64_t, int>, Summary> summaries_;
  sql::Statement put_block_, put_point_, put_summary_;
};

}  // namespace xp::tracker
