#include "tracker/query.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "tracker/bind.h"
#include "tracker/filter.h"
#include "tracker/index.h"
#include "tracker/objects.h"
#include "tracker/process.h"
#include "tracker/run_changes.h"
#include "tracker/run_db.h"
#include "tracker/schema.h"
#include "tracker/series.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 8> kStatusNames = {
    "queued", "running", "done", "failed", "interrupted", "preempted", "lost", "broken"};
constexpr const char* kRunColumns =
    "run.id, run.uid, run.name, run.status, run.created_ns, run.started_ns, run.ended_ns, "
    "run.attempts, run.host, "
    "run.tags, run.notes, run.recipe_path, run.recipe_hash, run.sweep, run.parent, run.error, "
    "run.location";

Status status_of(std::string_view name) {
  const auto* at = std::find(kStatusNames.begin(), kStatusNames.end(), name);
  return at == kStatusNames.end() ? Status::kBroken
                                  : static_cast<Status>(at - kStatusNames.begin());
}

std::vector<std::string> list_of(const std::string& json_text) {
  const auto parsed = nlohmann::json::parse(json_text, nullptr, false);
  return parsed.is_array() ? parsed.get<std::vector<std::string>>() : std::vector<std::string>{};
}

RunInfo run_info(const sql::Statement& row) {
  RunInfo out;
  out.uid = row.text(1);
  out.name = row.text(2);
  out.status = status_of(row.text_view(3));
  out.created_ns = row.integer(4);
  out.started_ns = row.integer(5);
  out.ended_ns = row.integer(6);
  out.attempts = static_cast<int>(row.integer(7));
  out.host = row.text(8);
  if (row.text_view(9) != "[]") out.tags = list_of(row.text(9));
  out.notes = row.text(10);
  out.recipe_path = row.text(11);
  out.recipe_hash = row.text(12);
  out.sweep = row.text(13);
  out.parent = row.text(14);
  out.error = row.text(15);
  out.where = row.text(16);
  return out;
}

std::string in_list(const std::vector<int64_t>& ids) {
  return fmt::format("({})", fmt::join(ids, ","));
}

}  // namespace

std::string_view text(Status status) { return kStatusNames.at(static_cast<size_t>(status)); }

struct Query::Impl {
  fs::path workspace;
  Index index;
  std::vector<std::string> warnings;

  /// A corrupt page of the index may show only when it is read: then the index is made again, once.
  template <class Work>
  auto guarded(const Work& work) {
    try {
      return work();
    } catch (const sql::SqlError& error) {
      if (!error.corrupt() || error.message().find("index.db") == std::string::npos) throw;
      index.rebuild(error.message());
    }
    return work();
  }

  explicit Impl(fs::path folder) : workspace(std::move(folder)), index(workspace) {
    guarded([&] { index.refresh(); });
  }

  KeyInfo find_key(std::string_view name) {
    auto row = index.db().prepare(
        "SELECT id, EXISTS(SELECT 1 FROM param WHERE key=id), EXISTS(SELECT 1 FROM summary WHERE "
        "key=id) FROM key "
        "WHERE name=?");
    row.query(name);
    if (!row.step()) return {};
    return {row.integer(0), row.integer(1) != 0, row.integer(2) != 0};
  }

  std::vector<std::string> all_keys() {
    std::vector<std::string> out;
    auto rows = index.db().prepare(
        "SELECT name FROM key WHERE EXISTS(SELECT 1 FROM param WHERE key=id) OR EXISTS(SELECT 1 "
        "FROM summary WHERE "
        "key=id) ORDER BY name");
    while (rows.step()) out.push_back(rows.text(0));
    return out;
  }

  KeyTable key_table() {
    return {[this](std::string_view name) { return find_key(name); },
            [this] { return all_keys(); }};
  }

  std::vector<RunInfo> runs(const Selection& selection);
  void fill(std::vector<RunInfo>& runs, const std::vector<int64_t>& ids,
            const std::optional<std::vector<std::string>>& keys);
  sql::Database run_db(std::string_view uid) {
    sql::Database db = read_run(workspace / "runs" / std::string(uid));
    db.exec("BEGIN");  // one snapshot: blocks and the position in the ring belong together
    return db;
  }
  Curve curve(const sql::Database& db, std::string_view uid, std::string_view metric, int rank,
              std::optional<int> attempt);
};

std::vector<RunInfo> Query::Impl::runs(const Selection& selection) {
  const KeyTable keys = key_table();
  const Compiled filter = compile_filter(selection.filter, keys, wall_ns());
  std::vector<Compiled> order;
  for (const std::string& key : selection.sort) order.push_back(compile_sort(key, keys));
  std::string sql = fmt::format("SELECT {} FROM run WHERE {}", kRunColumns, filter.sql);
  if (!selection.uids.empty()) {
    sql += " AND run.uid IN (?";
    for (size_t i = 1; i < selection.uids.size(); ++i) sql += ",?";
    sql += ")";
  }
  sql += " ORDER BY ";
  for (const Compiled& term : order) sql += term.sql + ", ";
  sql += "run.uid DESC";
  if (selection.limit > 0) sql += fmt::format(" LIMIT {}", selection.limit);
  auto rows = index.db().prepare(sql);
  int parameter = bind_all(rows, filter);
  for (const std::string& uid : selection.uids) rows.bind(++parameter, std::string_view(uid));
  for (const Compiled& term : order) parameter = bind_all(rows, term, parameter);
  std::vector<RunInfo> out;
  std::vector<int64_t> ids;
  while (rows.step()) {
    ids.push_back(rows.integer(0));
    out.push_back(run_info(rows));
  }
  fill(out, ids, selection.keys);
  return out;
}

void Query::Impl::fill(std::vector<RunInfo>& runs, const std::vector<int64_t>& ids,
                       const std::optional<std::vector<std::string>>& keys) {
  if (ids.empty() || (keys && keys->empty())) return;
  std::string where;
  if (keys) {
    std::vector<int64_t> wanted;
    for (const std::string& key : *keys) {
      const KeyInfo info = find_key(key);
      if (info.param || info.metric) wanted.push_back(info.id);
    }
    where = " WHERE t.key IN " + in_list(wanted);
  }
  std::map<int64_t, std::string> names;
  for (auto rows = index.db().prepare("SELECT id, name FROM key"); rows.step();) {
    names.emplace(rows.integer(0), rows.text(1));
  }
  // Few runs are asked for by id; many are found faster by reading all.
  if (ids.size() <= 200)
    where += (where.empty() ? " WHERE t.run IN " : " AND t.run IN ") + in_list(ids);
  std::vector<std::pair<int64_t, size_t>> place;
  place.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) place.emplace_back(ids[i], i);
  std::sort(place.begin(), place.end());
  const auto run_of = [&](int64_t id) -> RunInfo* {
    const auto at = std::lower_bound(place.begin(), place.end(), std::pair<int64_t, size_t>{id, 0});
    return at == place.end() || at->first != id ? nullptr : &runs[at->second];
  };
  auto params = index.db().prepare("SELECT t.run, t.key, t.type, t.value FROM param t" + where);
  while (params.step()) {
    RunInfo* run = run_of(params.integer(0));
    if (run) run->params.emplace(names[params.integer(1)], read_value(params, 2, 3));
  }
  auto metrics = index.db().prepare(
      "SELECT t.run, t.key, t.unit, t.grain, t.n, t.nans, t.first_nan_step, t.last, t.last_bits, "
      "t.last_step, t.min, "
      "t.min_step, t.max, t.max_step, t.reused FROM summary t" +
      where);
  while (metrics.step()) {
    RunInfo* run = run_of(metrics.integer(0));
    if (!run) continue;
    MetricSummary summary = read_summary(metrics, 4);
    summary.unit = unit_of(metrics.text_view(2));
    summary.grain = grain_of(metrics.text_view(3));
    summary.reused = metrics.integer(14) != 0;
    run->metrics.emplace(names[metrics.integer(1)], summary);
  }
}

Query::Query(fs::path folder) {
  if (!fs::is_directory(folder)) {
    throw Error(
        fmt::format("there is no workspace in {}: `exp init` makes one, `exp run RECIPE` too",
                    folder.parent_path().string()),
        Exit::kData);
  }
  impl_ = std::make_unique<Impl>(std::move(folder));
}

Query::~Query() = default;
Query::Query(Query&&) noexcept = default;

void Query::refresh() {
  impl_->guarded([&] { impl_->index.refresh(); });
}

void Query::rebuild() { impl_->index.rebuild(""); }

std::vector<RunInfo> Query::runs(const Selection& selection) {
  return impl_->guarded([&] { return impl_->runs(selection); });
}

std::string Query::find(std::string_view text) {
  const std::vector<RunInfo> all = runs({.keys = std::vector<std::string>{}});
  if (all.empty()) throw Error("there is no run yet");
  if (text == "last" || text.starts_with("last-")) {
    std::vector<const RunInfo*> whole;  // a broken one can only be meant by its name
    for (const RunInfo& run : all) {
      if (run.status != Status::kBroken) whole.push_back(&run);
    }
    const size_t back = text == "last" ? 0 : std::strtoull(text.data() + 5, nullptr, 10);
    if (back >= whole.size())
      throw Error(fmt::format("there are {} runs: '{}' goes beyond them", whole.size(), text));
    return whole[back]->uid;
  }
  std::vector<const RunInfo*> matches;
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const RunInfo& run : all) {
    if (run.uid == upper) return run.uid;
    if (upper.size() >= 4 && (run.uid.starts_with(upper) || run.uid.ends_with(upper)))
      matches.push_back(&run);
  }
  if (matches.size() == 1) return matches.front()->uid;
  if (matches.size() > 1) {
    throw Error(fmt::format("'{}' means {} runs, {} and {} among them: give more letters", text,
                            matches.size(), matches[0]->uid, matches[1]->uid));
  }
  std::set<std::string> names;
  for (const RunInfo& run : all) {
    if (run.name == text) return run.uid;
    names.insert(run.name);
  }
  const std::string guess = nearest(text, names);
  throw Error(
      fmt::format("there is no run '{}'{}; `exp runs` lists them", text, did_you_mean(guess)));
}

RunInfo Query::run(std::string_view uid) {
  std::vector<RunInfo> found = runs({.uids = {std::string(uid)}});
  if (found.empty()) throw Error(fmt::format("there is no run {}", uid));
  return std::move(found.front());
}

RunDetail Query::detail(std::string_view uid) {
  const sql::Database db = impl_->run_db(uid);
  RunDetail out;
  const int64_t now = wall_ns();
  auto attempts = db.prepare(
      "SELECT k, host, boot_id, pid_ns, pid, pid_start, slurm_job, started_ns, heartbeat_ns, "
      "COALESCE(ended_ns, 0), "
      "COALESCE(state, ''), message, location, COALESCE(exit_code, -1), k = (SELECT MAX(k) FROM "
      "attempt), argv FROM attempt "
      "ORDER BY k");
  while (attempts.step()) {
    Attempt attempt;
    attempt.number = static_cast<int>(attempts.integer(0));
    attempt.host = attempts.text(1);
    attempt.pid = attempts.integer(4);
    attempt.slurm_job = attempts.text(6);
    attempt.started_ns = attempts.integer(7);
    attempt.heartbeat_ns = sign_of_life(attempts.integer(8), now, db.file());
    attempt.ended_ns = attempts.integer(9);
    attempt.error = attempts.text(11);
    attempt.where = attempts.text(12);
    attempt.exit_code = static_cast<int>(attempts.integer(13));
    const ProcessId process{attempts.text(1), attempts.text(2), attempts.text(3),
                            attempts.integer(4), attempts.integer(5)};
    attempt.status = derive_status(attempts.text_view(10), 1, process, attempt.heartbeat_ns, now);
    // A later attempt took over: this one is over, whatever its pid is now.
    if (attempts.integer(14) == 0 && attempt.status == Status::kRunning)
      attempt.status = Status::kLost;
    attempt.argv = list_of(attempts.text(15));
    attempt.changes = changes_of(db, attempt.number);
    out.attempts.push_back(std::move(attempt));
  }
  auto stages = db.prepare(
      "SELECT name, kind, key, folder, reused, state, started_ns, COALESCE(ended_ns, 0) FROM stage "
      "ORDER BY started_ns, "
      "name");
  while (stages.step()) {
    fs::path folder = stages.text(3);
    if (!folder.empty() && folder.is_relative()) folder = impl_->workspace / folder;
    out.stages.push_back({stages.text(0), stages.text(1), stages.text(2), folder.string(),
                          stages.integer(4) != 0, stages.text(5), stages.integer(6),
                          stages.integer(7)});
  }
  auto artifacts =
      db.prepare("SELECT name, kind, sha256, stage, bytes, step, t_ns FROM artifact ORDER BY id");
  while (artifacts.step()) {
    out.artifacts.push_back({artifacts.text(0), artifacts.text(1), artifacts.text(2),
                             artifacts.text(3), artifacts.integer(4), artifacts.integer(5),
                             artifacts.integer(6),
                             object_path(impl_->workspace, artifacts.text_view(2))});
  }
  auto events = db.prepare("SELECT t_ns, level, text FROM event ORDER BY t_ns, id");
  while (events.step()) {
    const std::string_view level = events.text_view(1);
    out.events.push_back({events.integer(0),
                          level == "error"     ? Level::kError
                          : level == "warning" ? Level::kWarning
                                               : Level::kInfo,
                          events.text(2)});
  }
  for (auto rows = db.prepare("SELECT key, value FROM fact"); rows.step();)
    out.facts[rows.text(0)] = rows.text(1);
  for (auto rows = db.prepare("SELECT key, source FROM param"); rows.step();)
    out.sources[rows.text(0)] = rows.text(1);
  auto run = db.prepare("SELECT recipe_toml, argv FROM run");
  if (run.step()) {
    out.recipe_toml = run.text(0);
    out.argv = list_of(run.text(1));
  }
  return out;
}

Curve Query::Impl::curve(const sql::Database& db, std::string_view uid, std::string_view metric,
                         int rank, std::optional<int> attempt) {
  Curve out;
  out.uid = std::string(uid);
  out.metric = std::string(metric);
  auto row = db.prepare(
      "SELECT m.id, m.stage, m.unit, m.grain, EXISTS(SELECT 1 FROM summary s WHERE "
      "s.metric_id=m.id AND s.reused=1) "
      "FROM metric m WHERE m.name=?");
  row.query(metric);
  if (!row.step()) return out;
  MetricRow found{row.integer(0), out.metric, row.text(1), unit_of(row.text_view(2)),
                  grain_of(row.text_view(3))};
  out.unit = found.unit;
  out.grain = found.grain;
  out.reused = row.integer(4) != 0;
  row.reset();
  if (out.reused) {
    auto stage = db.prepare("SELECT folder FROM stage WHERE name=?");
    stage.query(found.stage);
    if (!stage.step()) return out;
    fs::path folder = stage.text(0);
    if (folder.is_relative()) folder = workspace / folder;
    std::error_code none;
    if (!fs::exists(folder / "curves.db", none)) {
      warnings.push_back(
          fmt::format("the cached stage '{}' of run {} is gone ({}): its curves cannot be shown",
                      found.stage, uid, folder.string()));
      return out;
    }
    const sql::Database curves = sql::Database::read(folder / "curves.db", kCurvesSchema);
    const std::string name = out.metric.substr(found.stage.empty() ? 0 : found.stage.size() + 1);
    auto id = curves.prepare("SELECT id FROM metric WHERE name=?");
    id.query(name);
    if (!id.step()) return out;
    found.id = id.integer(0);
    out.points = shown(read_points(curves, found, rank, &warnings), found.grain, {});
    return out;
  }
  std::vector<Point> points = read_points(db, found, rank, &warnings);
  add_ring_points(db, workspace / "runs" / std::string(uid), found, rank, points);
  if (attempt) {
    std::erase_if(points, [&](const Point& point) { return point.attempt != *attempt; });
    out.points = shown(std::move(points), found.grain, {});
    return out;
  }
  const Cuts cuts = read_cuts(db);
  const auto cut = cuts.find(found.stage);
  out.points =
      shown(std::move(points), found.grain, cut == cuts.end() ? std::vector<Cut>{} : cut->second);
  return out;
}

Curve Query::curve(std::string_view uid, std::string_view metric, int rank) {
  return impl_->curve(impl_->run_db(uid), uid, metric, rank, std::nullopt);
}

Curve Query::curve_of_attempt(std::string_view uid, std::string_view metric, int attempt,
                              int rank) {
  return impl_->curve(impl_->run_db(uid), uid, metric, rank, attempt);
}

std::vector<Curve> Query::curves(const std::vector<std::string>& uids,
                                 const std::vector<std::string>& metrics) {
  std::vector<Curve> out;
  for (const std::string& uid : uids) {
    const sql::Database db = impl_->run_db(uid);
    for (const std::string& metric : metrics)
      out.push_back(impl_->curve(db, uid, metric, 0, std::nullopt));
  }
  return out;
}

std::vector<std::pair<std::string, std::vector<int>>> Query::metric_names(std::string_view uid) {
  const sql::Database db = impl_->run_db(uid);
  std::map<std::string, std::vector<int>> out;
  auto rows = db.prepare(
      "SELECT m.name, s.rank FROM summary s JOIN metric m ON m.id=s.metric_id ORDER BY m.name, "
      "s.rank");
  while (rows.step()) out[rows.text(0)].push_back(static_cast<int>(rows.integer(1)));
  return {out.begin(), out.end()};
}

std::vector<Difference> Query::differing(const std::vector<std::string>& uids) {
  return impl_->guarded([&] {
    // The keys first, in the database; the values of these alone are fetched.
    const std::vector<RunInfo> chosen = runs({.uids = uids, .keys = std::vector<std::string>{}});
    sql::Database& db = impl_->index.db();
    db.exec("CREATE TEMP TABLE IF NOT EXISTS chosen(run INTEGER PRIMARY KEY); DELETE FROM chosen");
    auto put = db.prepare("INSERT INTO chosen(run) SELECT id FROM run WHERE uid=?");
    size_t read = 0;
    for (const RunInfo& run : chosen) {
      if (run.status == Status::kBroken) continue;  // it has no parameters: all would differ
      put.run(run.uid);
      ++read;
    }
    auto rows = db.prepare(
        "SELECT k.name FROM param p JOIN chosen c ON c.run=p.run JOIN key k ON k.id=p.key GROUP BY "
        "p.key "
        "HAVING COUNT(*) < ? OR MIN(p.value) IS NOT MAX(p.value) OR MIN(p.type) <> MAX(p.type) "
        "ORDER BY k.name");
    rows.query(read);
    std::vector<std::string> keys;
    while (rows.step()) keys.push_back(rows.text(0));
    const std::vector<RunInfo> full = runs({.uids = uids, .keys = keys});
    std::map<std::string, const RunInfo*, std::less<>> by_uid;
    for (const RunInfo& run : full) by_uid.emplace(run.uid, &run);
    std::vector<const RunInfo*> order;
    for (const RunInfo& run : full) order.push_back(&run);
    if (!uids.empty()) {
      order.clear();
      for (const std::string& uid : uids) {
        const auto at = by_uid.find(uid);
        if (at == by_uid.end()) throw Error(fmt::format("there is no run {}", uid));
        order.push_back(at->second);
      }
    }
    std::vector<Difference> out;
    for (const std::string& key : keys) {
      Difference difference{key, {}};
      for (const RunInfo* run : order) {
        const auto at = run->params.find(key);
        difference.values.push_back(at == run->params.end() ? std::nullopt
                                                            : std::optional(at->second));
      }
      out.push_back(std::move(difference));
    }
    return out;
  });
}

sql::Database Query::index_copy() {
  sql::Database copy = sql::Database::memory(kIndexSchema);
  copy.load(impl_->index.db());
  return copy;
}

std::vector<std::string> Query::keys() {
  std::vector<std::string> out = impl_->guarded([&] { return impl_->all_keys(); });
  out.insert(out.end(), filter_fields().begin(), filter_fields().end());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> Query::warnings() const {
  std::vector<std::string> out = impl_->index.warnings();
  out.insert(out.end(), impl_->warnings.begin(), impl_->warnings.end());
  return out;
}

}  // namespace xp::tracker
