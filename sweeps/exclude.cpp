#include "sweeps/exclude.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "tracker/bind.h"
#include "tracker/filter.h"
#include "tracker/schema.h"

namespace xp::sweeps {
namespace {

constexpr const char* kSeed = "experiment.seed";

// Keys of the space in order from 1, then the seed.
std::vector<std::string> key_names(const Space& space) {
  std::vector<std::string> out;
  for (const Axis& axis : space.axes) out.push_back(axis.key);
  out.emplace_back(kSeed);
  return out;
}

tracker::KeyTable key_table(const std::vector<std::string>& names) {
  tracker::KeyTable out;
  out.find = [names](std::string_view name) {
    const auto at = std::find(names.begin(), names.end(), name);
    tracker::KeyInfo info;
    if (at == names.end()) return info;
    info.id = at - names.begin() + 1;
    info.param = true;
    return info;
  };
  out.all = [names] { return names; };
  return out;
}

void insert(const tracker::sql::Database& db, int64_t key, const recipe::Value& value) {
  auto row = db.prepare("INSERT INTO param(run, key, type, value) VALUES(1, ?, ?, ?)");
  if (const auto* flag = value.get<bool>()) {
    row.run(key, "bool", *flag ? 1 : 0);
  } else if (const auto* whole = value.get<int64_t>()) {
    row.run(key, "int", *whole);
  } else if (const auto* real = value.get<double>()) {
    row.run(key, "float", *real);
  } else if (const auto* text = value.get<std::string>()) {
    row.run(key, "string", *text);
  } else {
    row.run(key, "json", recipe::to_toml(value));
  }
}

}  // namespace

Exclude::Exclude(const Space& space, const std::vector<std::string>& filters)
    : space_(&space), db_(tracker::sql::Database::memory(tracker::kIndexSchema)), texts_(filters) {
  db_.exec(
      "INSERT INTO run(id, uid, name, recipe_path, recipe_hash, parent, sweep, created_ns, "
      "attempts, host, boot_id, "
      "pid_ns, pid, pid_start, started_ns, heartbeat_ns, ended_ns, state, status, error, location, "
      "tags, notes, "
      "settled, stamp) "
      "VALUES(1,'','','','','','',0,0,'','','',0,0,0,0,0,'','queued','','','[]','',0,'')");
  const tracker::KeyTable keys = key_table(key_names(space));
  for (const std::string& text : texts_) tracker::compile_filter(text, keys, wall_ns());  // throws
}

bool Exclude::holds(const Point& point, int64_t seed) const {
  if (texts_.empty()) return false;
  db_.exec("DELETE FROM param");
  for (size_t i = 0; i < point.size(); ++i) insert(db_, static_cast<int64_t>(i) + 1, point[i]);
  insert(db_, static_cast<int64_t>(point.size()) + 1, recipe::Value(seed));
  const tracker::KeyTable keys = key_table(key_names(*space_));
  return std::any_of(texts_.begin(), texts_.end(), [&](const std::string& text) {
    const tracker::Compiled filter = tracker::compile_filter(text, keys, wall_ns());
    auto statement = db_.prepare("SELECT 1 FROM run WHERE " + filter.sql);
    tracker::bind_all(statement, filter);
    return statement.step();
  });
}

}  // namespace xp::sweeps
