#include "tracker/run_changes.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "tracker/run_db.h"

namespace xp::tracker {
namespace {

/// Notes what the newest attempt was started with in place of what was there.
class Changes {
 public:
  explicit Changes(sql::Database& db)
      : put_(db.prepare("INSERT OR REPLACE INTO change(attempt, key, was, now) "
                        "VALUES((SELECT MAX(k) FROM attempt),?,?,?)")) {}
  void add(std::string_view key, const std::optional<std::string>& was,
           const std::optional<std::string>& now) {
    put_.run(key, was, now);
  }

 private:
  sql::Statement put_;
};

std::map<std::string, Param> read_params(const sql::Database& db) {
  std::map<std::string, Param> out;
  for (auto rows = db.prepare("SELECT key, value, type, source FROM param"); rows.step();)
    out[rows.text(0)] = {rows.text(0), read_value(rows, 2, 1), rows.text(3)};
  return out;
}

void change_params(sql::Database& db, const std::vector<Param>& params, Changes& changes) {
  std::map<std::string, Param> before = read_params(db);
  for (const Param& now : params) {
    const auto was = before.find(now.key);
    std::optional<std::string> had;
    if (was != before.end()) had = to_text(was->second.value);
    const bool same = had && *had == to_text(now.value);
    if (!same || was->second.source != now.source) put_param(db, now);
    if (!same) changes.add(now.key, had, to_text(now.value));
    if (was != before.end()) before.erase(was);
  }
  for (const auto& [key, was] : before) {
    db.prepare("DELETE FROM param WHERE key=?").run(key);
    changes.add(key, to_text(was.value), std::nullopt);
  }
}

}  // namespace

void take_changes(sql::Database& db, const NewRun& run) {
  if (run.recipe_toml.empty()) return;
  auto row = db.prepare("SELECT name, recipe_path FROM run");
  if (!row.step()) return;
  Changes changes(db);
  if (row.text_view(0) != run.name) changes.add("name", row.text(0), run.name);
  if (row.text_view(1) != run.recipe_path) changes.add("recipe", row.text(1), run.recipe_path);
  row.reset();
  db.prepare("UPDATE run SET name=?, recipe_path=?, recipe_toml=?")
      .run(run.name, run.recipe_path, run.recipe_toml);
  change_params(db, run.params, changes);
  const auto changed = [&db](std::string_view key) {
    auto found = db.prepare(
        "SELECT 1 FROM change WHERE attempt=(SELECT MAX(k) FROM attempt) "
        "AND key=?");
    return found.query(key).step();
  };
  if (changed("experiment.tags")) {
    for (const std::string& tag : run.tags)
      db.prepare("INSERT OR IGNORE INTO tag(tag) VALUES(?)").run(tag);
  }
  if (changed("experiment.notes") && !run.notes.empty()) {
    db.prepare("INSERT INTO note(id, t_ns, text) VALUES(?,?,?)")
        .run(make_ulid(), wall_ns(), run.notes);
  }
}

std::vector<Change> changes_of(const sql::Database& db, int attempt) {
  std::vector<Change> out;
  if (db.pragma("user_version") < 2) return out;  // a file of before, that nobody wrote since
  auto rows = db.prepare("SELECT key, was, now FROM change WHERE attempt=? ORDER BY key");
  const auto text = [&rows](int column) {
    return rows.is_null(column) ? std::nullopt : std::optional(rows.text(column));
  };
  for (rows.query(attempt); rows.step();) out.push_back({rows.text(0), text(1), text(2)});
  return out;
}

}  // namespace xp::tracker
