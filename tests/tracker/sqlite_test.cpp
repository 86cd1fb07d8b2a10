#include "tracker/sqlite.h"

#include <array>
#include <cmath>
#include <functional>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/testing/temp_dir.h"
#include "tracker/file_system.h"

namespace xp::tracker::sql {
namespace {

constexpr std::array<Migration, 1> kOne = {{{1, "CREATE TABLE a(x)", ""}}};
constexpr std::array<Migration, 2> kTwo = {
    {{1, "CREATE TABLE a(x)", ""},
     {2, "ALTER TABLE a ADD COLUMN y", "INSERT INTO a(x, y) VALUES(1, 2)"}}};
constexpr std::array<Migration, 3> kThree = {{{1, "CREATE TABLE a(x)", ""},
                                              {2, "ALTER TABLE a ADD COLUMN y", ""},
                                              {3, "CREATE TABLE b(x)", ""}}};
const Schema kFirst = {77, "test database", kOne};
const Schema kSecond = {77, "test database", kTwo};
const Schema kThird = {77, "test database", kThree};
const Schema kOther = {78, "other database", kOne};

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Sqlite, SchemaIsMadeMigratedAndChecked) {
  const testing::TempDir dir;
  const auto file = dir / "x.db";
  { Database::open(file, kFirst).exec("INSERT INTO a VALUES(9)"); }
  {
    const Database db = Database::read(file, kSecond);
    EXPECT_EQ(db.pragma("user_version"), 1) << "readers take the version before";
  }
  EXPECT_EQ(message_of([&] { Database::read(file, kThird); }),
            file.string() +
                ": this test database is of version 1, too old to read as it is: `exp index` "
                "brings it up to "
                "date");
  {
    const Database db = Database::open(file, kSecond);
    EXPECT_EQ(db.pragma("user_version"), 2);
    auto rows = db.prepare("SELECT COUNT(*), SUM(y) FROM a");
    ASSERT_TRUE(rows.step());
    EXPECT_EQ(rows.integer(0), 2);
    EXPECT_EQ(rows.integer(1), 2);
  }
  const std::string newer =
      file.string() +
      ": this test database is of version 2, this exp knows up to 1: use a newer exp";
  EXPECT_EQ(message_of([&] { Database::open(file, kFirst); }), newer);
  EXPECT_EQ(message_of([&] { Database::read(file, kFirst); }), newer);
  EXPECT_EQ(message_of([&] { Database::open(file, kOther); }),
            file.string() + ": this is not a other database of exp");
  EXPECT_EQ(message_of([&] { Database::read(dir / "absent.db", kFirst); }),
            (dir / "absent.db").string() + ": there is no such file");
}

TEST(Sqlite, FailedMigrationLeavesTheOldVersion) {
  const testing::TempDir dir;
  const auto file = dir / "x.db";
  { Database::open(file, kFirst); }
  constexpr std::array<Migration, 2> kBad = {
      {{1, "CREATE TABLE a(x)", ""}, {2, "CREATE TABLE c(x)", "NO SUCH WORD"}}};
  EXPECT_THROW(Database::open(file, {77, "test database", kBad}), SqlError);
  const Database db = Database::open(file, kFirst);
  EXPECT_EQ(db.pragma("user_version"), 1);
  EXPECT_THROW(db.prepare("SELECT * FROM c"), SqlError);
}

TEST(Sqlite, ValuesAndTransactions) {
  Database db = Database::memory(kFirst);
  db.prepare("INSERT INTO a VALUES(?)").run(std::nan(""));
  db.prepare("INSERT INTO a VALUES(?)").run("");
  db.prepare("INSERT INTO a VALUES(?)").run(std::span<const std::byte>());
  db.prepare("INSERT INTO a VALUES(?)").run(std::optional<int64_t>());
  {
    Transaction undone(db);
    db.exec("INSERT INTO a VALUES('gone')");
  }
  {
    Transaction done(db);
    db.exec("INSERT INTO a VALUES(5)");
    done.commit();
  }
  auto rows = db.prepare("SELECT typeof(x) FROM a");
  std::vector<std::string> types;
  while (rows.step()) types.push_back(rows.text(0));
  EXPECT_EQ(types, (std::vector<std::string>{"null", "text", "blob", "null", "integer"}));
}

TEST(Sqlite, NetworkFileSystemGetsARollbackJournal) {
  const testing::TempDir dir;
  set_statfs_for_tests([](const char*) -> int64_t { return 0x6969; });
  EXPECT_EQ(network_file_system(dir / "not/yet/there"), "NFS");
  {
    const Database db = Database::open(dir / "x.db", kFirst, true);
    auto row = db.prepare("PRAGMA journal_mode");
    ASSERT_TRUE(row.step());
    EXPECT_EQ(row.text(0), "delete");
    auto lock = db.prepare("PRAGMA locking_mode");
    ASSERT_TRUE(lock.step());
    EXPECT_EQ(lock.text(0), "exclusive");
  }
  struct Case {
    int64_t type;
    const char* name;
  };
  static int64_t type = 0;
  for (const Case& c : {Case{0xEF53, ""},
                        {0x0BD00BD0, "Lustre"},
                        {0x47504653, "GPFS"},
                        {0x65735546, "FUSE"},
                        {static_cast<int32_t>(0xFF534D42), "SMB"},
                        {0x01021994, ""}}) {
    type = c.type;
    set_statfs_for_tests([](const char*) { return type; });
    EXPECT_EQ(network_file_system(dir.path()), c.name);
  }
  set_statfs_for_tests(nullptr);
  const Database db = Database::open(dir / "y.db", kFirst);
  auto row = db.prepare("PRAGMA journal_mode");
  ASSERT_TRUE(row.step());
  EXPECT_EQ(row.text(0), "wal");
}

TEST(SqliteIntegration, ProcessesMakeOneFileAtTheSameTime) {
  const testing::TempDir dir;
  for (int round = 0; round < 10; ++round) {
    const auto file = dir / ("x" + std::to_string(round) + ".db");
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      const pid_t pid = fork();
      if (pid == 0) {
        try {
          Database db = Database::open(file, kSecond);
          Transaction transaction(db);
          db.prepare("INSERT INTO a(x) VALUES(?)").run(i);
          transaction.commit();
        } catch (const std::exception& error) {
          fprintf(stderr, "%s\n", error.what());
          _exit(1);
        }
        _exit(0);
      }
      children.push_back(pid);
    }
    for (const pid_t pid : children) {
      int status = 1;
      waitpid(pid, &status, 0);
      EXPECT_EQ(status, 0);
    }
    const Database db = Database::read(file, kSecond);
    auto row = db.prepare("SELECT COUNT(*) FROM a");
    ASSERT_TRUE(row.step());
    EXPECT_EQ(row.integer(0), 9);
  }
}

}  // namespace
}  // namespace xp::tracker::sql
