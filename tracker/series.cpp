#include "tracker/series.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace xp::tracker {
namespace {

constexpr const char* kPutBlock =
    "INSERT INTO "
    "chunk(metric_id,attempt,rank,seq,n,step_min,step_max,t0_ns,vmin,vmax,nans,data,crc) "
    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(metric_id,rank,attempt,seq) DO UPDATE SET "
    "n=excluded.n, "
    "step_min=excluded.step_min, step_max=excluded.step_max, vmin=excluded.vmin, "
    "vmax=excluded.vmax, "
    "nans=excluded.nans, data=excluded.data, crc=excluded.crc";
constexpr const char* kPutPoint =
    "INSERT INTO point(metric_id,attempt,rank,step,t_ns,value,bits) VALUES(?,?,?,?,?,?,?)";
constexpr const char* kPutSummary =
    "INSERT INTO "
    "summary(metric_id,rank,n,nans,first_nan_step,last,last_bits,last_step,last_ns,min,min_step,"
    "max,"
    "max_step,reused) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,0) ON CONFLICT(metric_id,rank) DO UPDATE "
    "SET n=excluded.n, "
    "nans=excluded.nans, first_nan_step=excluded.first_nan_step, last=excluded.last, "
    "last_bits=excluded.last_bits, "
    "last_step=excluded.last_step, last_ns=excluded.last_ns, min=excluded.min, "
    "min_step=excluded.min_step, "
    "max=excluded.max, max_step=excluded.max_step, reused=0";

constexpr double kNull = std::numeric_limits<double>::quiet_NaN();  // SQLite stores it so

bool packed(Grain grain) { return grain == Grain::kStep || grain == Grain::kTime; }

template <class Enum>
Enum enum_of(std::string_view name, Enum last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (text(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  }
  return Enum{};
}

bool cut_away(const Point& point, Grain grain, const std::vector<Cut>& cuts) {
  if (grain == Grain::kTime) return false;
  return std::any_of(cuts.begin(), cuts.end(), [&](const Cut& cut) {
    if (cut.attempt <= point.attempt) return false;
    if (grain == Grain::kFinal) return true;
    return point.step > (grain == Grain::kEpoch ? cut.epoch : cut.step);
  });
}

}  // namespace

void Stats::add(int64_t step, int64_t time_ns, double value) {
  if (n == 0 || step > last_step || (step == last_step && time_ns >= last_ns)) {
    last = value;
    last_step = step;
    last_ns = time_ns;
  }
  ++n;
  if (std::isnan(value)) {
    ++nans;
    if (first_nan_step < 0 || step < first_nan_step) first_nan_step = step;
    return;
  }
  const bool first = n - nans == 1;
  if (first || value < min) {
    min = value;
    min_step = step;
  }
  if (first || value > max) {
    max = value;
    max_step = step;
  }
}

std::optional<int64_t> bits_of(double value) {
  const bool lost = std::isnan(value) || (value == 0 && std::signbit(value));
  return lost ? std::optional(std::bit_cast<int64_t>(value)) : std::nullopt;
}

double value_of(const sql::Statement& row, int value_column, int bits_column) {
  if (!row.is_null(bits_column)) return std::bit_cast<double>(row.integer(bits_column));
  return row.real(value_column);
}

MetricSummary read_summary(const sql::Statement& row, int first) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  MetricSummary out;
  out.n = row.integer(first);
  out.nans = row.integer(first + 1);
  out.first_nan_step = row.is_null(first + 2) ? -1 : row.integer(first + 2);
  out.last = value_of(row, first + 3, first + 4);
  out.last_step = row.integer(first + 5);
  out.min = row.is_null(first + 6) ? kNone : row.real(first + 6);
  out.min_step = row.integer(first + 7);
  out.max = row.is_null(first + 8) ? kNone : row.real(first + 8);
  out.max_step = row.integer(first + 9);
  return out;
}

Unit unit_of(std::string_view text) { return enum_of(text, Unit::kCelsius); }
Grain grain_of(std::string_view text) { return enum_of(text, Grain::kTime); }

std::vector<MetricRow> read_metrics(const sql::Database& database) {
  std::vector<MetricRow> out;
  auto rows = database.prepare("SELECT id, name, stage, unit, grain FROM metric ORDER BY name");
  while (rows.step()) {
    out.push_back({rows.integer(0), rows.text(1), rows.text(2), unit_of(rows.text_view(3)),
                   grain_of(rows.text_view(4))});
  }
  return out;
}

Cuts read_cuts(const sql::Database& run) {
  Cuts out;
  auto rows = run.prepare("SELECT stage, attempt, step, epoch FROM cut");
  while (rows.step()) {
    out[rows.text(0)].push_back(
        {static_cast<int>(rows.integer(1)), rows.integer(2), rows.integer(3)});
  }
  return out;
}

std::vector<Point> shown(std::vector<Point> points, Grain grain, const std::vector<Cut>& cuts) {
  if (!cuts.empty())
    std::erase_if(points, [&](const Point& point) { return cut_away(point, grain, cuts); });
  const auto order = [](const Point& a, const Point& b) {
    return std::tie(a.step, a.attempt, a.time_ns) < std::tie(b.step, b.attempt, b.time_ns);
  };
  if (!std::is_sorted(points.begin(), points.end(), order))
    std::stable_sort(points.begin(), points.end(), order);
  std::vector<Point> out;
  out.reserve(points.size());
  for (const Point& point : points) {
    if (!out.empty() && out.back().step == point.step) {
      out.back() = point;
    } else {
      out.push_back(point);
    }
  }
  return out;
}

std::vector<Point> read_points(const sql::Database& database, const MetricRow& metric, int rank,
                               std::vector<std::string>* warnings) {
  std::vector<Point> out;
  if (!packed(metric.grain)) {
    auto rows = database.prepare(
        "SELECT step, t_ns, value, bits, attempt FROM point WHERE metric_id=? AND rank=?");
    rows.query(metric.id, rank);
    while (rows.step()) {
      out.push_back({rows.integer(0), rows.integer(1), value_of(rows, 2, 3),
                     static_cast<int>(rows.integer(4))});
    }
    return out;
  }
  auto rows = database.prepare(
      "SELECT n, crc, data, attempt, seq FROM chunk WHERE metric_id=? AND rank=? ORDER BY attempt, "
      "seq");
  rows.query(metric.id, rank);
  while (rows.step()) {
    const auto n = static_cast<size_t>(rows.integer(0));
    const int attempt = static_cast<int>(rows.integer(3));
    try {
      const Columns columns = decode_chunk(rows.blob(2), n, static_cast<uint32_t>(rows.integer(1)));
      for (size_t i = 0; i < n; ++i) {
        out.push_back({columns.step[i], columns.time_ns[i], columns.value[i], attempt});
      }
    } catch (const Error& error) {
      if (!warnings) throw;
      warnings->push_back(fmt::format(
          "{}: metric '{}', attempt {}, block {}: {}; its points are left out",
          database.file().string(), metric.name, attempt, rows.integer(4), error.what()));
    }
  }
  return out;
}

std::vector<int> read_ranks(const sql::Database& database, const MetricRow& metric) {
  std::vector<int> out;
  // From the points: a summary is absent while a cut hides all of them.
  auto rows = database.prepare(
      packed(metric.grain) ? "SELECT DISTINCT rank FROM chunk WHERE metric_id=? ORDER BY rank"
                           : "SELECT DISTINCT rank FROM point WHERE metric_id=? ORDER BY rank");
  rows.query(metric.id);
  while (rows.step()) out.push_back(static_cast<int>(rows.integer(0)));
  return out;
}

SeriesWriter::SeriesWriter(sql::Database& database)
    : database_(database),
      put_block_(database.prepare(kPutBlock)),
      put_point_(database.prepare(kPutPoint)),
      put_summary_(database.prepare(kPutSummary)) {}

int64_t SeriesWriter::metric(std::string_view name, std::string_view stage, Unit unit,
                             Grain grain) {
  const std::string full = stage.empty() ? std::string(name) : fmt::format("{}.{}", stage, name);
  if (const auto at = metrics_.find(full); at != metrics_.end()) return at->second.id;
  database_
      .prepare(
          "INSERT INTO metric(name, stage, unit, grain) VALUES(?,?,?,?) ON CONFLICT(name) DO "
          "NOTHING")
      .run(full, stage, text(unit), text(grain));
  auto row = database_.prepare("SELECT id, grain FROM metric WHERE name=?");
  row.query(full);
  XP_CHECK(row.step(), "the metric was just stored");
  const MetricRow metric{row.integer(0), full, std::string(stage), unit,
                         grain_of(row.text_view(1))};
  grains_[metric.id] = metric.grain;
  metrics_.emplace(full, metric);
  return metric.id;
}

SeriesWriter::Block& SeriesWriter::block(const SeriesKey& key) {
  const auto [at, fresh] = blocks_.try_emplace(key);
  if (fresh) {
    const auto& [metric, rank, attempt] = key;
    auto row =
        database_.prepare("SELECT MAX(seq) FROM chunk WHERE metric_id=? AND rank=? AND attempt=?");
    row.query(metric, rank, attempt);
    if (row.step() && !row.is_null(0)) at->second.seq = row.integer(0) + 1;
  }
  return at->second;
}

SeriesWriter::Summary& SeriesWriter::summary(int64_t metric, int rank) {
  const auto [at, fresh] = summaries_.try_emplace({metric, rank});
  if (fresh) {
    auto row = database_.prepare(
        "SELECT n, nans, first_nan_step, last, last_bits, last_step, min, min_step, max, max_step, "
        "last_ns FROM summary "
        "WHERE metric_id=? AND rank=? AND reused=0");
    row.query(metric, rank);
    if (row.step()) {
      const MetricSummary had = read_summary(row, 0);
      at->second.stats = {
          had.n,   had.nans, had.first_nan_step, had.last,    had.last_step, row.integer(10),
          had.min, had.max,  had.min_step,       had.max_step};
    }
  }
  return at->second;
}

void SeriesWriter::add(int64_t metric, int attempt, int rank, const Point& point) {
  Summary& sum = summary(metric, rank);
  sum.stats.add(point.step, point.time_ns, point.value);
  sum.dirty = true;
  if (!packed(grains_.at(metric))) {
    put_point_.run(metric, attempt, rank, point.step, point.time_ns, point.value,
                   bits_of(point.value));
    return;
  }
  const SeriesKey key{metric, rank, attempt};
  Block& open = block(key);
  open.columns.add(point.step, point.time_ns, point.value);
  open.dirty = true;
  if (open.columns.size() < kChunkPoints) return;
  store(key, open);
  open.columns.clear();
  ++open.seq;
}

void SeriesWriter::store(const SeriesKey& key, Block& block) {
  const auto& [metric, rank, attempt] = key;
  Stats stats;
  for (size_t i = 0; i < block.columns.size(); ++i) {
    stats.add(block.columns.step[i], block.columns.time_ns[i], block.columns.value[i]);
  }
  const auto [low, high] =
      std::minmax_element(block.columns.step.begin(), block.columns.step.end());
  const std::vector<std::byte> data = encode_chunk(block.columns);
  const double min = stats.has_range() ? stats.min : kNull;
  const double max = stats.has_range() ? stats.max : kNull;
  put_block_.run(metric, attempt, rank, block.seq, block.columns.size(), *low, *high,
                 block.columns.time_ns.front(), min, max, stats.nans,
                 std::span<const std::byte>(data), crc32_of(data));
  block.dirty = false;
}

void SeriesWriter::store(int64_t metric, int rank, Summary& summary) {
  const Stats& s = summary.stats;
  const bool range = s.has_range();
  const auto known = [](bool yes, int64_t value) {
    return yes ? std::optional(value) : std::nullopt;
  };
  put_summary_.run(metric, rank, s.n, s.nans, known(s.first_nan_step >= 0, s.first_nan_step),
                   s.last, bits_of(s.last), s.last_step, s.last_ns, range ? s.min : kNull,
                   known(range, s.min_step), range ? s.max : kNull, known(range, s.max_step));
  summary.dirty = false;
}

void SeriesWriter::write() {
  for (auto& [key, block] : blocks_) {
    if (block.dirty && block.columns.size() > 0) store(key, block);
  }
  for (auto& [key, summary] : summaries_) {
    if (summary.dirty) store(key.first, key.second, summary);
  }
}

void SeriesWriter::summarise(std::string_view stage, const Cuts& cuts) {
  write();
  const auto cut = cuts.find(stage);
  static const std::vector<Cut> kNone;
  for (const MetricRow& metric : read_metrics(database_)) {
    if (metric.stage != stage) continue;
    for (const int rank : read_ranks(database_, metric)) {
      Summary anew;
      const auto all = read_points(database_, metric, rank, nullptr);
      for (const Point& point : shown(all, metric.grain, cut == cuts.end() ? kNone : cut->second)) {
        anew.stats.add(point.step, point.time_ns, point.value);
      }
      summaries_.erase({metric.id, rank});
      if (anew.stats.n > 0) {
        store(metric.id, rank, anew);
      } else {
        database_.prepare("DELETE FROM summary WHERE metric_id=? AND rank=?").run(metric.id, rank);
      }
    }
  }
}

}  // namespace xp::tracker
