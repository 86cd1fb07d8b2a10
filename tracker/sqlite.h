#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/error.h"

struct sqlite3;
struct sqlite3_stmt;

/// SQLite as every database of a workspace uses it: run.db, index.db, sweep.db, curves.db.
namespace xp::tracker::sql {

/// A failure of SQLite, with its result code (SQLITE_FULL, SQLITE_CORRUPT, ...).
class SqlError : public Error {
 public:
  SqlError(std::string message, int sqlite_code, Exit code);
  int sqlite_code() const { return sqlite_code_; }
  bool corrupt() const;  ///< the file is not a database or its pages are broken
  bool busy() const;
  bool of_the_disk() const;  ///< not of the statement: full, read-only, broken, locked, gone

 private:
  int sqlite_code_;
};

/// A prepared statement. Parameters and columns count from 1 and 0, as in SQLite.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  Statement& bind(int index, int64_t value);
  Statement& bind(int index, double value);  ///< NaN becomes NULL, as SQLite has it
  Statement& bind(int index, std::string_view value);
  Statement& bind(int index, std::span<const std::byte> value);  ///< a blob
  Statement& bind(int index, std::nullptr_t);

  /// Binds 1, 2, ... in turn and runs to the end.
  template <class... Args>
  void run(const Args&... args) {
    int index = 0;
    (bind_any(++index, args), ...);
    finish();
  }
  /// Binds 1, 2, ... in turn; `step` then gives the rows.
  template <class... Args>
  Statement& query(const Args&... args) {
    reset();
    int index = 0;
    (bind_any(++index, args), ...);
    return *this;
  }

  bool step();  ///< true: a row; false: done (the statement is reset)
  void reset();

  bool is_null(int column) const;
  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  /// Valid until the next step.
  std::string_view text_view(int column) const;
  std::span<const std::byte> blob(int column) const;
  int columns() const;
  std::string column_name(int column) const;
  int column_type(int column) const;  ///< SQLITE_INTEGER, SQLITE_FLOAT, ...
  bool read_only() const;

 private:
  void bind_any(int index, std::nullptr_t) { bind(index, nullptr); }
  void bind_any(int index, double value) { bind(index, value); }
  void bind_any(int index, std::string_view value) { bind(index, value); }
  void bind_any(int index, const std::string& value) { bind(index, std::string_view(value)); }
  void bind_any(int index, const char* value) { bind(index, std::string_view(value)); }
  void bind_any(int index, std::span<const std::byte> value) { bind(index, value); }
  template <class Integer>
  requires std::is_integral_v<Integer>
  void bind_any(int index, Integer value) { bind(index, static_cast<int64_t>(value)); }
  template <class T>
  void bind_any(int index, const std::optional<T>& value) {
    if (value) {
      bind_any(index, *value);
    } else {
      bind(index, nullptr);
    }
  }
  void finish();
  [[noreturn]] void fail(int code) const;

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

/// One step of a schema: the SQL that brings version - 1 to `version`. Versions count from 1
/// without gaps.
struct Migration {
  int version;
  const char* sql;
  const char* more;  ///< a second piece, run after the first; "" = none
};

/// What a database file is: its mark (PRAGMA application_id), its name in messages, how it came to
/// its version.
struct Schema {
  int32_t application_id;
  const char* what;  ///< "run database"
  std::span<const Migration> migrations;
  int version() const { return migrations.empty() ? 0 : migrations.back().version; }
};

enum class Durability {
  kNormal,  ///< survives the death of the process; power loss may take the last transactions
  kFull,    ///< synced at every commit
};

/// The file as the URI that SQLite opens, to be followed by a query: '?', '#' and '%' in its path
/// are none of the URI's.
std::string file_uri(const std::filesystem::path& file);

/// A connection. One thread at a time.
class Database {
 public:
  /// Opens for reading and writing, makes the file when absent, brings the schema up to date in one
  /// exclusive transaction. Any number of processes may do this at once on a fresh file. The
  /// journal is a write-ahead log, on a network file system a rollback journal; `exclusive` then
  /// also keeps the file locked for this connection. Throws SqlError; for a newer version: "... is
  /// of version 7, this exp knows up to 2: use a newer exp".
  static Database open(const std::filesystem::path& file, const Schema& schema,
                       bool exclusive = false);

  /// Opens for reading, also on a read-only disk and while another process writes. Takes the
  /// current version and the one before. Throws SqlError.
  static Database read(const std::filesystem::path& file, const Schema& schema);

  /// A database in memory with this schema.
  static Database memory(const Schema& schema);

  ~Database();
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;

  void exec(const std::string& sql);
  Statement prepare(std::string_view sql) const { return Statement(handle_, sql); }
  int64_t pragma(const std::string& name) const;
  void set_durability(Durability durability);
  /// Moves the write-ahead log into the file and leaves a plain single file, where nobody else
  /// reads just now.
  void settle() noexcept;
  /// A consistent copy, also of a live database. `file` is replaced.
  void copy_to(const std::filesystem::path& file) const;
  /// Takes over the whole content of another database.
  void load(const Database& from);
  int64_t changes() const;
  sqlite3* handle() const { return handle_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  Database(sqlite3* handle, std::filesystem::path file) : handle_(handle), file_(std::move(file)) {}
  static Database connect(const std::filesystem::path& file, int flags, const std::string& query);

  sqlite3* handle_;
  std::filesystem::path file_;
  std::filesystem::path copy_;  ///< a temporary copy that goes with the connection
};

/// BEGIN IMMEDIATE (waits for the lock, up to the busy timeout) ... commit, or rollback at the end
/// of the scope.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

/// How long a connection waits for another's lock.
inline constexpr int kBusyMs = 30000;

}  // namespace xp::tracker::sql
