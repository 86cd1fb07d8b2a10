#include "tracker/sqlite.h"

#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <utility>

#include <sqlite3.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "tracker/file_system.h"

namespace xp::tracker::sql {
namespace fs = std::filesystem;
namespace {

Exit exit_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
      return Exit::kData;
    default:
      return Exit::kFailed;
  }
}

std::string_view hint_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return "; free some space";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return "; check that the folder is there and its permissions";
    default:
      return "";
  }
}

// What the system said, where SQLite says little: "disk I/O error (File too large)".
std::string system_reason(sqlite3* handle, int code) {
  const int error = handle ? sqlite3_system_errno(handle) : 0;
  const bool of_the_system = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN;
  return of_the_system && error != 0 ? fmt::format(" ({})", std::strerror(error)) : "";
}

std::string describe(sqlite3* handle, int code) {
  return fmt::format("{}{}{}", handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code),
                     system_reason(handle, code), hint_of(code));
}

std::string file_of(sqlite3* handle) {
  const char* name = handle ? sqlite3_db_filename(handle, "main") : nullptr;
  return name && *name ? name : ":memory:";
}

[[noreturn]] void raise(sqlite3* handle, int code) {
  throw SqlError(fmt::format("{}: {}", file_of(handle), describe(handle, code)), code,
                 exit_of(code));
}

/// Some locks are refused without the busy handler (a second process that turns the journal mode at
/// the same time): wait and try again, each for another time, as long as the busy handler would.
template <class Work>
void with_patience(const Work& work) {
  std::minstd_rand random(static_cast<unsigned>(::getpid()) ^ static_cast<unsigned>(steady_ns()));
  const int64_t until = steady_ns() + int64_t{kBusyMs} * 1000000;
  while (true) {
    try {
      return work();
    } catch (const SqlError& error) {
      if (!error.busy() || steady_ns() > until) throw;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 5000));
  }
}

void check_version(const Database& database, const Schema& schema, int oldest) {
  const int64_t id = database.pragma("application_id");
  const int64_t version = database.pragma("user_version");
  const std::string file = database.file().string();
  if (id != schema.application_id) {
    throw SqlError(fmt::format("{}: this is not a {} of exp", file, schema.what), SQLITE_NOTADB,
                   Exit::kData);
  }
  if (version > schema.version()) {
    throw SqlError(
        fmt::format("{}: this {} is of version {}, this exp knows up to {}: use a newer exp", file,
                    schema.what, version, schema.version()),
        SQLITE_ERROR, Exit::kData);
  }
  if (version < oldest) {
    throw SqlError(fmt::format("{}: this {} is of version {}, too old to read as it is: `exp "
                               "index` brings it up to date",
                               file, schema.what, version),
                   SQLITE_ERROR, Exit::kData);
  }
}

void migrate(Database& database, const Schema& schema) {
  const bool fresh = database.pragma("user_version") == 0 &&
                     database.pragma("application_id") == 0 &&
                     database.pragma("schema_version") == 0;
  if (!fresh) check_version(database, schema, 1);
  if (database.pragma("user_version") == schema.version()) return;
  database.exec("BEGIN EXCLUSIVE");
  try {
    // Another process may have done it while this one waited for the lock.
    const int64_t have = database.pragma("user_version");
    for (const Migration& step : schema.migrations) {
      if (step.version <= have) continue;
      database.exec(step.sql);
      database.exec(step.more);
    }
    database.exec(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}",
                              schema.application_id, std::max<int64_t>(have, schema.version())));
    database.exec("COMMIT");
  } catch (...) {
    sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

}  // namespace

SqlError::SqlError(std::string message, int sqlite_code, Exit code)
    : Error(std::move(message), code), sqlite_code_(sqlite_code) {}

bool SqlError::corrupt() const {
  const int code = sqlite_code_ & 0xFF;
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

bool SqlError::busy() const {
  const int code = sqlite_code_ & 0xFF;
  return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

bool SqlError::of_the_disk() const {
  switch (sqlite_code_ & 0xFF) {
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_TOOBIG:
      return false;
    default:
      return true;
  }
}

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
  const int code =
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
  if (code != SQLITE_OK) fail(code);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  return *this;
}

void Statement::fail(int code) const { raise(database_, code); }

Statement& Statement::bind(int index, int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, index, value); code != SQLITE_OK) fail(code);
  return *this;
}

Statement& Statement::bind(int index, double value) {
  if (const int code = sqlite3_bind_double(statement_, index, value); code != SQLITE_OK) fail(code);
  return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
  // A null pointer would bind NULL; an empty text is a text.
  const int code = sqlite3_bind_text64(statement_, index, value.data() ? value.data() : "",
                                       value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) fail(code);
  return *this;
}

Statement& Statement::bind(int index, std::span<const std::byte> value) {
  const int code = sqlite3_bind_blob64(statement_, index,
                                       value.data() ? static_cast<const void*>(value.data()) : "",
                                       value.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) fail(code);
  return *this;
}

Statement& Statement::bind(int index, std::nullptr_t) {
  if (const int code = sqlite3_bind_null(statement_, index); code != SQLITE_OK) fail(code);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    const SqlError error(fmt::format("{}: {}", file_of(database_), describe(database_, code)),
                         sqlite3_extended_errcode(database_), exit_of(code));
    sqlite3_reset(statement_);
    throw error;
  }
  sqlite3_reset(statement_);
  return false;
}

void Statement::finish() {
  while (step()) {
  }
}

void Statement::reset() { sqlite3_reset(statement_); }

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
int Statement::columns() const { return sqlite3_column_count(statement_); }
int Statement::column_type(int column) const { return sqlite3_column_type(statement_, column); }
bool Statement::read_only() const { return sqlite3_stmt_readonly(statement_) != 0; }

std::string Statement::column_name(int column) const {
  return sqlite3_column_name(statement_, column);
}

std::string_view Statement::text_view(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text
             ? std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)))
             : std::string_view();
}

std::string Statement::text(int column) const { return std::string(text_view(column)); }

std::span<const std::byte> Statement::blob(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  return {bytes, bytes ? static_cast<size_t>(sqlite3_column_bytes(statement_, column)) : 0};
}

Database::~Database() {
  sqlite3_close(handle_);
  if (copy_.empty()) return;
  std::error_code ignored;
  fs::remove_all(copy_, ignored);
}

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      file_(std::move(other.file_)),
      copy_(std::exchange(other.copy_, {})) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(file_, other.file_);
  std::swap(copy_, other.copy_);
  return *this;
}

std::string file_uri(const fs::path& file) {
  std::string out = "file:";
  for (const char c : fs::absolute(file).string()) {
    if (c == '?' || c == '#' || c == '%') {
      out += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

// By a URI, because only a URI can say immutable=1.
Database Database::connect(const fs::path& file, int flags, const std::string& query) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2((file_uri(file) + query).c_str(), &handle,
                                   flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle, file);
  if (code != SQLITE_OK) {
    throw SqlError(fmt::format("{}: {}", file.string(), describe(handle, code)), code,
                   exit_of(code));
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMs);
  return database;
}

Database Database::open(const fs::path& file, const Schema& schema, bool exclusive) {
  Database database = connect(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "");
  const bool network = !network_file_system(file).empty();
  with_patience([&] {
    if (network) {
      if (exclusive) database.exec("PRAGMA locking_mode=EXCLUSIVE");
      database.exec("PRAGMA journal_mode=DELETE");
    } else {
      database.exec("PRAGMA journal_mode=WAL");
    }
    database.exec("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY");
    migrate(database, schema);
  });
  return database;
}

Database Database::read(const fs::path& file, const Schema& schema) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw SqlError(fmt::format("{}: there is no such file", file.string()), SQLITE_CANTOPEN,
                   Exit::kData);
  }
  const auto attempt = [&](const fs::path& path, const std::string& query) {
    Database database = connect(path, SQLITE_OPEN_READONLY, query);
    check_version(database, schema, std::max(1, schema.version() - 1));
    return database;
  };
  try {
    return attempt(file, "?mode=ro");
  } catch (const SqlError& error) {
    const int code = error.sqlite_code() & 0xFF;
    if (code != SQLITE_CANTOPEN && code != SQLITE_READONLY && code != SQLITE_IOERR) throw;
  }
  // A write-ahead log needs its shared-memory file, which a read-only folder cannot get.
  const fs::path log = file.string() + "-wal";
  if (!fs::exists(log, ignored) || fs::file_size(log, ignored) == 0)
    return attempt(file, "?mode=ro&immutable=1");
  const fs::path copy = fs::temp_directory_path() / ("exp-read-" + make_ulid());
  fs::create_directories(copy);
  fs::copy_file(file, copy / "copy.db");
  fs::copy_file(log, copy / "copy.db-wal");
  Database database = attempt(copy / "copy.db", "");
  database.copy_ = copy;
  return database;
}

Database Database::memory(const Schema& schema) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      ":memory:", &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle, ":memory:");
  if (code != SQLITE_OK) raise(handle, code);
  migrate(database, schema);
  return database;
}

void Database::exec(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) raise(handle_, sqlite3_extended_errcode(handle_));
}

int64_t Database::pragma(const std::string& name) const {
  Statement statement = prepare("PRAGMA " + name);
  return statement.step() ? statement.integer(0) : 0;
}

void Database::set_durability(Durability durability) {
  exec(durability == Durability::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

void Database::settle() noexcept {
  // Refused while somebody reads: then the log simply stays beside the file.
  sqlite3_busy_timeout(handle_, 0);
  sqlite3_exec(handle_, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr);
  sqlite3_exec(handle_, "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr);
  sqlite3_busy_timeout(handle_, kBusyMs);
}

void Database::copy_to(const fs::path& file) const {
  std::error_code ignored;
  fs::remove(file, ignored);
  connect(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "").load(*this);
}

void Database::load(const Database& from) {
  sqlite3_backup* backup = sqlite3_backup_init(handle_, "main", from.handle_, "main");
  if (!backup) raise(handle_, sqlite3_errcode(handle_));
  sqlite3_backup_step(backup, -1);
  if (const int code = sqlite3_backup_finish(backup); code != SQLITE_OK) raise(handle_, code);
}

int64_t Database::changes() const { return sqlite3_changes64(handle_); }

Transaction::Transaction(Database& database) : database_(database) {
  database_.exec("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.exec("COMMIT");
  open_ = false;
}

}  // namespace xp::tracker::sql
