#include "tracker/sql_query.h"

#include <cstring>
#include <memory>

#include <sqlite3.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "tracker/query.h"
#include "tracker/schema.h"
#include "tracker/sqlite.h"

namespace xp::tracker {
namespace {

// The columns of the table-valued function; the hidden ones are its arguments.
constexpr const char* kDeclaration =
    "CREATE TABLE points(metric TEXT, rank INTEGER, attempt INTEGER, step INTEGER, t_ns INTEGER, "
    "value REAL, "
    "run_arg HIDDEN, metric_arg HIDDEN, rank_arg HIDDEN)";
constexpr int kFirstArgument = 6;

struct PointsTable {
  sqlite3_vtab base;
  Query* query;
};

struct PointsCursor {
  sqlite3_vtab_cursor base;
  std::vector<Curve> curves;
  std::vector<int> ranks;
  size_t curve = 0, point = 0;

  void settle() {
    while (curve < curves.size() && point >= curves[curve].points.size()) {
      ++curve;
      point = 0;
    }
  }
};

PointsCursor* cursor_of(sqlite3_vtab_cursor* base) { return reinterpret_cast<PointsCursor*>(base); }

int connect(sqlite3* db, void* query, int, const char* const*, sqlite3_vtab** out, char**) {
  const int code = sqlite3_declare_vtab(db, kDeclaration);
  if (code != SQLITE_OK) return code;
  auto* table = new PointsTable{};
  table->query = static_cast<Query*>(query);
  *out = &table->base;
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* base) {
  delete reinterpret_cast<PointsTable*>(base);
  return SQLITE_OK;
}

int open_cursor(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = &(new PointsCursor{})->base;
  return SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* base) {
  delete cursor_of(base);
  return SQLITE_OK;
}

/// Which arguments were given goes to `filter` as bits; the first is needed.
int best_index(sqlite3_vtab* base, sqlite3_index_info* info) {
  int given = 0, place[3] = {-1, -1, -1};
  for (int i = 0; i < info->nConstraint; ++i) {
    const int argument = info->aConstraint[i].iColumn - kFirstArgument;
    if (argument < 0 || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (!info->aConstraint[i].usable) return SQLITE_CONSTRAINT;
    given |= 1 << argument;
    place[argument] = i;
  }
  if ((given & 1) == 0) {
    base->zErrMsg = sqlite3_mprintf("points() needs a run: points('last', 'METRIC')");
    return SQLITE_ERROR;
  }
  int next = 0;
  for (const int i : place) {
    if (i < 0) continue;
    info->aConstraintUsage[i].argvIndex = ++next;
    info->aConstraintUsage[i].omit = 1;
  }
  info->idxNum = given;
  info->estimatedCost = (given & 2) != 0 ? 1000 : 100000;
  return SQLITE_OK;
}

std::string text_of(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  return text ? text : "";
}

int filter(sqlite3_vtab_cursor* base, int given, const char*, int, sqlite3_value** values) {
  PointsCursor& cursor = *cursor_of(base);
  cursor.curves.clear();
  cursor.curve = cursor.point = 0;
  Query& query = *reinterpret_cast<PointsTable*>(base->pVtab)->query;
  try {
    int next = 0;
    const std::string uid = query.find(text_of(values[next++]));
    std::vector<std::string> metrics;
    if ((given & 2) != 0) {
      metrics.push_back(text_of(values[next++]));
    } else {
      for (const auto& [name, ranks] : query.metric_names(uid)) metrics.push_back(name);
    }
    const int rank = (given & 4) != 0 ? sqlite3_value_int(values[next]) : 0;
    for (const std::string& metric : metrics)
      cursor.curves.push_back(query.curve(uid, metric, rank));
    cursor.ranks.assign(cursor.curves.size(), rank);
  } catch (const std::exception& error) {
    base->pVtab->zErrMsg = sqlite3_mprintf("%s", error.what());
    return SQLITE_ERROR;
  }
  cursor.settle();
  return SQLITE_OK;
}

int next_row(sqlite3_vtab_cursor* base) {
  ++cursor_of(base)->point;
  cursor_of(base)->settle();
  return SQLITE_OK;
}

int at_end(sqlite3_vtab_cursor* base) {
  return cursor_of(base)->curve >= cursor_of(base)->curves.size() ? 1 : 0;
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* out, int which) {
  const PointsCursor& cursor = *cursor_of(base);
  const Curve& curve = cursor.curves[cursor.curve];
  const Point& point = curve.points[cursor.point];
  switch (which) {
    case 0:
      sqlite3_result_text(out, curve.metric.c_str(), -1, SQLITE_TRANSIENT);
      break;
    case 1:
      sqlite3_result_int(out, cursor.ranks[cursor.curve]);
      break;
    case 2:
      sqlite3_result_int(out, point.attempt);
      break;
    case 3:
      sqlite3_result_int64(out, point.step);
      break;
    case 4:
      sqlite3_result_int64(out, point.time_ns);
      break;
    case 5:
      sqlite3_result_double(out, point.value);
      break;
    default:
      sqlite3_result_null(out);
  }
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* base, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>((cursor_of(base)->curve << 32) + cursor_of(base)->point);
  return SQLITE_OK;
}

const sqlite3_module* points_module() {
  static const sqlite3_module module = [] {
    sqlite3_module m{};
    m.xConnect = connect;  // no xCreate: usable without CREATE VIRTUAL TABLE
    m.xBestIndex = best_index;
    m.xDisconnect = disconnect;
    m.xOpen = open_cursor;
    m.xClose = close_cursor;
    m.xFilter = filter;
    m.xNext = next_row;
    m.xEof = at_end;
    m.xColumn = column;
    m.xRowid = row_id;
    return m;
  }();
  return &module;
}

SqlTable::Cell cell_of(const sql::Statement& row, int column) {
  switch (row.column_type(column)) {
    case SQLITE_NULL:
      return {true, std::string()};
    case SQLITE_INTEGER:
      return {false, row.integer(column)};
    case SQLITE_FLOAT:
      return {false, row.real(column)};
    case SQLITE_BLOB:
      return {false, fmt::format("<{} bytes>", row.blob(column).size())};
    default:
      return {false, row.text(column)};
  }
}

}  // namespace

SqlTable run_sql(const std::filesystem::path& workspace, const std::string& statement,
                 std::string_view run) {
  Query query(workspace);
  // A copy in memory: a statement can neither hold up a writer nor change anything.
  sql::Database db = query.index_copy();
  sqlite3_create_module(db.handle(), "points", points_module(), &query);
  if (!run.empty()) {
    const std::filesystem::path file = workspace / "runs" / query.find(run) / "run.db";
    db.prepare("ATTACH ? AS run").run(sql::file_uri(file) + "?mode=ro");
  }
  try {
    const char* tail = nullptr;
    sqlite3_stmt* probe = nullptr;
    const int code = sqlite3_prepare_v2(db.handle(), statement.c_str(), -1, &probe, &tail);
    const bool empty = code == SQLITE_OK && probe == nullptr;
    sqlite3_finalize(probe);
    if (empty) throw Error("there is no statement: give one SELECT, as in exp sql --help");
    if (code == SQLITE_OK && std::strspn(tail, " \t\r\n;") != std::strlen(tail))
      throw Error("give one statement at a time");
    sql::Statement rows = db.prepare(statement);
    if (!rows.read_only())
      throw Error("only a SELECT can be asked: exp owns what is in these tables");
    SqlTable out;
    for (int i = 0; i < rows.columns(); ++i) out.columns.push_back(rows.column_name(i));
    while (rows.step()) {
      auto& row = out.rows.emplace_back();
      for (int i = 0; i < rows.columns(); ++i) row.push_back(cell_of(rows, i));
    }
    return out;
  } catch (const sql::SqlError& error) {
    std::string message = error.message();
    if (message.starts_with(":memory:: ")) message = message.substr(10);
    throw Error(message);
  }
}

}  // namespace xp::tracker
