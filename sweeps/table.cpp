#include "sweeps/table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "sweeps/spec_json.h"
#include "sweeps/table_schema.h"

namespace xp::sweeps {
namespace fs = std::filesystem;
namespace sql = tracker::sql;

namespace {

constexpr std::array<std::string_view, 6> kStates = {"queued", "running", "done",
                                                     "failed", "stopped", "lost"};

TrialState parse_state(std::string_view text) {
  const auto at = std::find(kStates.begin(), kStates.end(), text);
  XP_CHECK(at != kStates.end(), "a state that sweep.db cannot hold: " + std::string(text));
  return static_cast<TrialState>(at - kStates.begin());
}

constexpr const char* kColumns =
    "number, point, seed, hash, place, bundle, goals, wanted, state, owner, host, boot_id, pid_ns, "
    "pid, pid_start, "
    "job, lease_ns, tries, losses, run, doing, error, started_ns, ended_ns, seconds, peak_mb";

Trial read_trial(const sql::Statement& row) {
  Trial out;
  out.number = row.integer(0);
  out.point = row.integer(1);
  out.seed = static_cast<uint64_t>(row.integer(2));
  out.hash = row.text(3);
  out.place = place_from_json(row.text_view(4));
  out.bundle = row.text(5);
  out.goals = row.text(6);
  out.wanted = row.integer(7) != 0;
  out.state = parse_state(row.text_view(8));
  out.owner = row.text(9);
  out.process = {row.text(10), row.text(11), row.text(12), row.integer(13), row.integer(14)};
  out.job = row.text(15);
  out.lease_ns = row.integer(16);
  out.tries = static_cast<int>(row.integer(17));
  out.losses = static_cast<int>(row.integer(18));
  out.run = row.text(19);
  out.doing = row.text(20);
  out.error = row.text(21);
  out.started_ns = row.integer(22);
  out.ended_ns = row.integer(23);
  out.seconds = row.real(24);
  out.peak_mb = row.real(25);
  return out;
}

void read_values(const sql::Database& db, Trial& trial) {
  auto rows = db.prepare("SELECT key, text FROM value WHERE trial=? ORDER BY position");
  rows.query(trial.number);
  while (rows.step()) trial.values.emplace_back(rows.text(0), rows.text(1));
}

// What trials of one point have in common.
std::string values_text(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out;
  for (const auto& [key, value] : values) out += fmt::format("{}={}\n", key, value);
  return out;
}

std::map<std::string, int64_t> points_by_values(const sql::Database& db) {
  std::map<std::string, int64_t> out;
  auto rows = db.prepare("SELECT number, point FROM trial ORDER BY number");
  while (rows.step()) {
    Trial trial;
    trial.number = rows.integer(0);
    read_values(db, trial);
    out.emplace(values_text(trial.values), rows.integer(1));
  }
  return out;
}

void write_spec(sql::Database& db, const SweepSpec& spec) {
  db.prepare("UPDATE sweep SET spec=?").run(spec_to_json(spec));
  for (const auto& [path, text] : spec.files)
    db.prepare(
          "INSERT INTO file(path, text) VALUES(?1, ?2) ON CONFLICT(path) DO UPDATE SET text=?2")
        .run(path, text);
  for (const auto& [name, value] : spec.environment)
    db.prepare(
          "INSERT INTO environment(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET "
          "value=?2")
        .run(name, value);
}

}  // namespace

Objective parse_objective(std::string_view text) {
  Objective out;
  out.maximise = !text.starts_with("min:");
  out.metric =
      std::string(text.starts_with("min:") || text.starts_with("max:") ? text.substr(4) : text);
  return out;
}

std::string objective_text(const Objective& objective) {
  return (objective.maximise ? "max:" : "min:") + objective.metric;
}

std::string_view text(TrialState state) { return kStates[static_cast<size_t>(state)]; }

std::string trial_text(const Trial& trial, bool with_seed) {
  std::string out;
  for (const auto& [key, value] : trial.values)
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", key, value);
  if (with_seed || out.empty())
    out += fmt::format("{}seed {}", out.empty() ? "" : ", ", trial.seed);
  return out;
}

// Under another name until it is whole: a sweep that a full disk or a kill left half made is none.
SweepDb SweepDb::create(const fs::path& folder, const SweepSpec& spec) {
  fs::create_directories(folder);
  const fs::path fresh = folder / "sweep.db.new";
  {
    sql::Database db = sql::Database::open(fresh, kSweepSchema);
    sql::Transaction transaction(db);
    db.prepare("INSERT INTO sweep(id, name, family, recipe, created_ns, spec) VALUES(?,?,?,?,?,'')")
        .run(spec.id, spec.name, spec.family, spec.recipe,
             spec.created_ns == 0 ? wall_ns() : spec.created_ns);
    write_spec(db, spec);
    transaction.commit();
    db.settle();
  }
  // SQLite takes its log away when the file has all that is in it.
  if (fs::exists(fresh.string() + "-wal"))
    throw Error(fmt::format("{} cannot be written", fresh.string()), Exit::kFailed);
  fs::rename(fresh, folder / "sweep.db");
  return open(folder);
}

SweepDb SweepDb::open(const fs::path& folder) {
  if (!fs::exists(folder / "sweep.db"))
    throw Error(fmt::format("{}: there is no sweep in it", folder.string()), Exit::kData);
  return {folder, sql::Database::open(folder / "sweep.db", kSweepSchema)};
}

SweepDb SweepDb::read(const fs::path& folder) {
  return {folder, sql::Database::read(folder / "sweep.db", kSweepSchema)};
}

// SQLite makes those who wait sleep and try again, with growing pauses; a lock of the kernel wakes
// the next one at once.
FileLock SweepDb::turn() const { return FileLock::wait(folder_ / "turn.lock"); }

SweepSpec SweepDb::spec() const {
  auto row = db_.prepare("SELECT id, name, family, recipe, created_ns, spec FROM sweep");
  if (!row.step())
    throw Error(fmt::format("{}: there is no sweep in it", folder_.string()), Exit::kData);
  SweepSpec out = spec_from_json(row.text_view(5));
  out.id = row.text(0);
  out.name = row.text(1);
  out.family = row.text(2);
  out.recipe = row.text(3);
  out.created_ns = row.integer(4);
  auto files = db_.prepare("SELECT path, text FROM file");
  while (files.step()) out.files[files.text(0)] = files.text(1);
  auto names = db_.prepare("SELECT name, value FROM environment");
  while (names.step()) {
    out.environment[names.text(0)] =
        names.is_null(1) ? std::nullopt : std::optional<std::string>(names.text(1));
  }
  return out;
}

void SweepDb::update_spec(const SweepSpec& spec) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  write_spec(db_, spec);
  transaction.commit();
}

size_t SweepDb::add(const std::vector<Trial>& trials, bool keep_others) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  if (!keep_others) db_.exec("UPDATE trial SET wanted = 0");
  auto find = db_.prepare("SELECT number, state, goals FROM trial WHERE hash=?");
  auto insert = db_.prepare(
      "INSERT INTO trial(point, seed, hash, place, bundle, goals, wanted, state) "
      "VALUES(?,?,?,?,?,?,1,'queued')");
  auto value = db_.prepare("INSERT INTO value(trial, position, key, text) VALUES(?,?,?,?)");
  auto want = db_.prepare("UPDATE trial SET wanted=1, bundle=?, goals=? WHERE number=?");
  auto again =
      db_.prepare("UPDATE trial SET state='queued', run='', error='', losses=0 WHERE number=?");
  std::map<std::string, int64_t> point_of = points_by_values(db_);
  int64_t highest = points();
  size_t fresh = 0;
  for (const Trial& trial : trials) {
    find.query(trial.hash);
    if (find.step()) {
      const int64_t number = find.integer(0);
      const bool ended = find.text_view(1) == "done" || find.text_view(1) == "stopped";
      const bool changed = ended && !trial.goals.empty() && find.text_view(2) != trial.goals;
      find.reset();
      want.run(trial.bundle, trial.goals, number);
      if (changed) again.run(number);
      continue;
    }
    find.reset();
    ++fresh;
    const auto [point, another] = point_of.try_emplace(values_text(trial.values), highest + 1);
    if (another) ++highest;
    insert.run(point->second, static_cast<int64_t>(trial.seed), trial.hash,
               place_to_json(trial.place), trial.bundle, trial.goals);
    auto last = db_.prepare("SELECT last_insert_rowid()");
    last.step();
    const int64_t number = last.integer(0);
    for (size_t i = 0; i < trial.values.size(); ++i)
      value.run(number, i, trial.values[i].first, trial.values[i].second);
  }
  transaction.commit();
  return fresh;
}

bool SweepDb::has(const std::string& hash) const {
  auto row = db_.prepare("SELECT 1 FROM trial WHERE hash=?");
  return row.query(hash).step();
}

int64_t SweepDb::points() const {
  auto row = db_.prepare("SELECT COALESCE(MAX(point), 0) FROM trial");
  row.step();
  return row.integer(0);
}

std::vector<Trial> SweepDb::trials(bool wanted_only) const {
  std::vector<Trial> out;
  std::map<int64_t, size_t> places;
  auto rows = db_.prepare(fmt::format("SELECT {} FROM trial {} ORDER BY number", kColumns,
                                      wanted_only ? "WHERE wanted" : ""));
  while (rows.step()) {
    out.push_back(read_trial(rows));
    places[out.back().number] = out.size() - 1;
  }
  auto values = db_.prepare("SELECT trial, key, text FROM value ORDER BY trial, position");
  while (values.step()) {
    const auto at = places.find(values.integer(0));
    if (at != places.end()) out[at->second].values.emplace_back(values.text(1), values.text(2));
  }
  auto metrics = db_.prepare("SELECT trial, name, value FROM metric");
  while (metrics.step()) {
    const auto at = places.find(metrics.integer(0));
    if (at == places.end()) continue;
    out[at->second].metrics[metrics.text(1)] = metrics.is_null(2) ? std::nan("") : metrics.real(2);
  }
  return out;
}

std::optional<Trial> SweepDb::trial(int64_t number) const {
  auto row = db_.prepare(fmt::format("SELECT {} FROM trial WHERE number=?", kColumns));
  row.query(number);
  if (!row.step()) return std::nullopt;
  Trial out = read_trial(row);
  read_values(db_, out);
  return out;
}

Counts SweepDb::counts() const {
  Counts out;
  const std::array<int64_t*, 6> places = {&out.queued, &out.running, &out.done,
                                          &out.failed, &out.stopped, &out.lost};
  auto rows = db_.prepare("SELECT state, COUNT(*) FROM trial WHERE wanted GROUP BY state");
  while (rows.step())
    *places[static_cast<size_t>(parse_state(rows.text_view(0)))] = rows.integer(1);
  return out;
}

std::vector<Trial> SweepDb::claim(const std::string& owner, const tracker::ProcessId& process,
                                  int limit, const std::string& job, int64_t only) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  std::vector<Trial> out;
  // A bundle is found by its first trial, whatever became of that.
  auto bundle = db_.prepare(
      only > 0 ? "SELECT bundle FROM trial WHERE number=?1 AND (SELECT halted FROM sweep)=''"
               : "SELECT bundle FROM trial WHERE state='queued' AND wanted AND (SELECT halted FROM "
                 "sweep)='' AND ?1=0 "
                 "ORDER BY number LIMIT 1");
  bundle.query(only);
  if (!bundle.step()) return out;
  const std::string chosen = bundle.text(0);
  bundle.reset();
  auto numbers = db_.prepare(
      "SELECT number FROM trial WHERE bundle=? AND state='queued' AND wanted ORDER BY number LIMIT "
      "?");
  numbers.query(chosen, limit);
  std::vector<int64_t> taken;
  while (numbers.step()) taken.push_back(numbers.integer(0));
  auto take = db_.prepare(
      "UPDATE trial SET state='running', owner=?, host=?, boot_id=?, pid_ns=?, pid=?, pid_start=?, "
      "job=?, lease_ns=?, "
      "tries=tries+1, started_ns=?, ended_ns=0, doing='', error='' WHERE number=?");
  const int64_t now = wall_ns();
  for (const int64_t number : taken) {
    take.run(owner, process.host, process.boot, process.pid_namespace, process.pid, process.start,
             job, now + kLeaseNs, now, number);
  }
  transaction.commit();
  for (const int64_t number : taken) out.push_back(*trial(number));
  return out;
}

bool SweepDb::renew(const std::string& owner, const std::vector<int64_t>& numbers,
                    const std::string& doing) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  auto row = db_.prepare(
      "UPDATE trial SET lease_ns=?, doing=? WHERE number=? AND owner=? AND state='running'");
  const int64_t until = wall_ns() + kLeaseNs;
  bool all = true;
  for (const int64_t number : numbers) {
    row.run(until, doing, number, owner);
    all = all && db_.changes() == 1;
  }
  transaction.commit();
  return all;
}

void SweepDb::set_run(int64_t number, const std::string& owner, const std::string& run) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare("UPDATE trial SET run=? WHERE number=? AND owner=?").run(run, number, owner);
  transaction.commit();
}

bool SweepDb::finish(int64_t number, const std::string& owner, const Ending& ending) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare(
         "UPDATE trial SET state=?, error=?, seconds=?, peak_mb=?, ended_ns=?, owner='', doing='', "
         "lease_ns=0 "
         "WHERE number=? AND owner=? AND state='running'")
      .run(text(ending.state), ending.error, ending.seconds, ending.peak_mb, wall_ns(), number,
           owner);
  if (db_.changes() != 1) return false;
  db_.prepare("DELETE FROM metric WHERE trial=?").run(number);
  auto metric = db_.prepare("INSERT INTO metric(trial, name, value) VALUES(?,?,?)");
  for (const auto& [name, value] : ending.metrics) metric.run(number, name, value);
  transaction.commit();
  return true;
}

size_t SweepDb::reclaim(int64_t now_ns) {
  std::vector<Trial> dead;
  {
    auto rows = db_.prepare(fmt::format("SELECT {} FROM trial WHERE state='running'", kColumns));
    while (rows.step()) {
      const Trial trial = read_trial(rows);
      const tracker::Life life = tracker::life_of(trial.process);
      if (life == tracker::Life::kDead ||
          (life == tracker::Life::kUnknown && trial.lease_ns < now_ns))
        dead.push_back(trial);
    }
  }
  return give_back(dead, now_ns);
}

size_t SweepDb::reclaim_job(const std::string& job) {
  std::vector<Trial> dead;
  auto rows =
      db_.prepare(fmt::format("SELECT {} FROM trial WHERE state='running' AND job=?", kColumns));
  rows.query(job);
  while (rows.step()) dead.push_back(read_trial(rows));
  return give_back(dead, wall_ns());
}

size_t SweepDb::stop_job(const std::string& job, int64_t head, const std::string& why) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare(
         "UPDATE trial SET state='stopped', error=?, owner='', doing='', lease_ns=0, ended_ns=? "
         "WHERE wanted AND ((state='running' AND job=?) OR "
         "(state='queued' AND bundle=(SELECT bundle FROM trial WHERE number=?)))")
      .run(why, wall_ns(), job, head);
  const auto out = static_cast<size_t>(db_.changes());
  transaction.commit();
  return out;
}

size_t SweepDb::give_back(const std::vector<Trial>& dead, int64_t now_ns) {
  if (dead.empty()) return 0;
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  auto update = db_.prepare(
      "UPDATE trial SET state=?, error=?, losses=losses+1, owner='', doing='', lease_ns=0, "
      "ended_ns=? "
      "WHERE number=? AND owner=? AND state='running'");
  size_t out = 0;
  for (const Trial& trial : dead) {
    const bool lost = trial.losses + 1 >= kMaxLosses;
    const std::string why = lost ? fmt::format(
                                       "its worker died {} times without a word (killed, or out of "
                                       "memory); --retry lost tries again",
                                       trial.losses + 1)
                                 : "";
    update.run(lost ? "lost" : "queued", why, lost ? now_ns : 0, trial.number, trial.owner);
    out += static_cast<size_t>(db_.changes());
  }
  transaction.commit();
  return out;
}

size_t SweepDb::retry(TrialState state) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare("UPDATE trial SET state='queued', error='', losses=0 WHERE state=? AND wanted")
      .run(text(state));
  const auto out = static_cast<size_t>(db_.changes());
  transaction.commit();
  return out;
}

size_t SweepDb::forget_removed(const std::function<bool(const std::string&)>& there) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  std::vector<int64_t> gone;
  auto rows =
      db_.prepare("SELECT number, run FROM trial WHERE state IN ('done', 'stopped') AND wanted");
  while (rows.step()) {
    if (!there(rows.text(1))) gone.push_back(rows.integer(0));
  }
  for (const int64_t number : gone)
    db_.prepare("UPDATE trial SET state='queued', run='', error='' WHERE number=?").run(number);
  transaction.commit();
  return gone.size();
}

void SweepDb::halt(const std::string& why, bool cancel) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare("UPDATE sweep SET halted=?, cancelled=?").run(why, cancel ? 1 : 0);
  transaction.commit();
}

void SweepDb::reopen() {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.exec("UPDATE sweep SET halted='', cancelled=0");
  transaction.commit();
}

std::string SweepDb::halted() const {
  auto row = db_.prepare("SELECT halted FROM sweep");
  return row.step() ? row.text(0) : "";
}

bool SweepDb::cancelled() const {
  auto row = db_.prepare("SELECT cancelled FROM sweep");
  return row.step() && row.integer(0) != 0;
}

void SweepDb::add_rung(int64_t number, int64_t epoch, double value) {
  const FileLock lock = turn();
  sql::Transaction transaction(db_);
  db_.prepare("INSERT OR IGNORE INTO rung(trial, epoch, value) VALUES(?,?,?)")
      .run(number, epoch, value);
  transaction.commit();
}

std::vector<std::pair<int64_t, double>> SweepDb::rung(int64_t epoch) const {
  auto rows = db_.prepare("SELECT trial, value FROM rung WHERE epoch=? ORDER BY id");
  rows.query(epoch);
  std::vector<std::pair<int64_t, double>> out;
  while (rows.step())
    out.emplace_back(rows.integer(0), rows.is_null(1) ? std::nan("") : rows.real(1));
  return out;
}

std::vector<fs::path> sweep_folders(const fs::path& exp_folder) {
  std::vector<fs::path> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(exp_folder / "sweeps", none)) {
    if (fs::exists(entry.path() / "sweep.db", none)) out.push_back(entry.path());
  }
  std::sort(out.rbegin(), out.rend());
  return out;
}

namespace {

// `all` has the newest first, one at least.
const fs::path& newest_readable(const std::vector<fs::path>& all) {
  for (const fs::path& folder : all) {
    try {
      SweepDb::read(folder).spec();
      return folder;
    } catch (const Error&) {
      // `exp sweeps` says what is wrong with it
    }
  }
  throw Error("no sweep here can be read; `exp sweeps` says why", Exit::kData);
}

}  // namespace

fs::path find_sweep(const fs::path& exp_folder, std::string_view text) {
  const std::vector<fs::path> all = sweep_folders(exp_folder);
  if (all.empty()) throw Error("there is no sweep here; `exp sweep --param KEY=SPEC` makes one");
  if (text.empty() || text == "last") return newest_readable(all);
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::vector<fs::path> found;
  for (const fs::path& folder : all) {
    const std::string id = folder.filename().string();
    if (id == upper) return folder;
    if (upper.size() >= 4 && (id.starts_with(upper) || id.ends_with(upper)))
      found.push_back(folder);
  }
  if (found.size() == 1) return found.front();
  throw Error(found.empty()
                  ? fmt::format("there is no sweep {}; `exp sweeps` lists them", text)
                  : fmt::format("{} means {} sweeps; write more of it", text, found.size()));
}

}  // namespace xp::sweeps
