// The filter language on any bytes: it refuses them with an Error, or what it compiles is SQL that
// SQLite takes, that only reads, and that has a parameter for every binding.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <sqlite3.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "tracker/filter.h"
#include "tracker/schema.h"

namespace {

using namespace xp::tracker;

KeyTable keys() {
  return {[](std::string_view name) -> KeyInfo {
            if (name == "tome.r") return {1, true, false};
            if (name == "eval.mAP") return {2, false, true};
            if (name == "both") return {3, true, true};
            return {};
          },
          [] {
            return std::vector<std::string>{"tome.r", "eval.mAP", "both"};
          }};
}

void check(const Compiled& compiled, const std::string& sql) {
  static const sql::Database db = sql::Database::memory(kIndexSchema);
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  if (sqlite3_prepare_v2(db.handle(), sql.c_str(), -1, &statement, &tail) != SQLITE_OK) {
    // SQLite's own limits on depth and count are no fault of ours.
    const std::string message = sqlite3_errmsg(db.handle());
    if (message.find("too ") == std::string::npos && message.find("overflow") == std::string::npos)
      std::abort();
    return;
  }
  if (*tail != '\0' || !sqlite3_stmt_readonly(statement)) std::abort();
  if (static_cast<size_t>(sqlite3_bind_parameter_count(statement)) != compiled.bindings.size())
    std::abort();
  sqlite3_finalize(statement);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const Compiled filter = compile_filter(text, keys(), 1);
    check(filter, fmt::format("SELECT 1 FROM run WHERE {}", filter.sql));
  } catch (const xp::Error&) {
    // refused
  }
  try {
    const Compiled sort = compile_sort(text, keys());
    check(sort, fmt::format("SELECT 1 FROM run ORDER BY {}", sort.sql));
  } catch (const xp::Error&) {
    // refused
  }
  return 0;
}
