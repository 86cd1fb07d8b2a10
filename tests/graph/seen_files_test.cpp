#include "core/graph/seen_files.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/files.h"
#include "core/graph/input_scan.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using xp::testing::TempDir;

struct stat stat_of(const fs::path& file) {
  struct stat info {};
  EXPECT_EQ(::stat(file.c_str(), &info), 0) << file;
  return info;
}

class Seen : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }
  static void read(SeenFiles& seen, const fs::path& file) {
    const std::string text = read_file(file);
    const struct stat info = stat_of(file);
    seen.add(file.string(), info, info, wall_ns(), std::as_bytes(std::span(text)));
  }
  static bool fill(SeenFiles& seen, const fs::path& file, TableRecord& record) {
    const struct stat info = stat_of(file);
    record.stat = file_stat_of(info);
    return seen.fill(record, info.st_dev);
  }

  TempDir dir_;
};

TEST_F(Seen, KnowsAFileByItsStateAndKeepsItInTheLog) {
  const fs::path file = write("a.wav", "abc");
  for (const bool again : {false, true}) {
    SCOPED_TRACE(again);
    SeenFiles seen(dir_ / "log");
    if (!again) read(seen, file);
    EXPECT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen.bytes(), 3U);
    TableRecord record;
    ASSERT_TRUE(fill(seen, file, record));
    EXPECT_EQ(record.hash, to_hash(sha256("abc")));
    EXPECT_EQ(record.state, TableRecord::kUnsure);  // written this moment
    EXPECT_TRUE(seen.changed().empty());
    record.stat.mtime_ns += 1;
    EXPECT_FALSE(seen.fill(record, stat_of(file).st_dev));
    EXPECT_FALSE(fill(seen, write("b.wav", "abc"), record));
  }
}

TEST_F(Seen, AFileThatLiesForAWhileIsSure) {
  const fs::path file = write("a.wav", "abc");
  SeenFiles seen(dir_ / "log");
  const struct stat info = stat_of(file);
  const std::string text = "abc";
  seen.add(file.string(), info, info, wall_ns() + 3'000'000'000, std::as_bytes(std::span(text)));
  TableRecord record;
  ASSERT_TRUE(fill(seen, file, record));
  EXPECT_EQ(record.state, TableRecord::kKnown);
}

TEST_F(Seen, NamesWhatChanged) {
  const fs::path during = write("during.wav", "abc");
  const fs::path after = write("after.wav", "abc");
  const fs::path gone = write("gone.wav", "abc");
  const fs::path same = write("same.wav", "abc");
  const fs::path shorter = write("shorter.wav", "abc");
  const fs::path twice = write("twice.wav", "abc");
  SeenFiles seen(dir_ / "log");
  const struct stat old = stat_of(during);
  write("during.wav", "abcd");
  const std::string text = "abcd";
  seen.add(during.string(), old, stat_of(during), wall_ns(), std::as_bytes(std::span(text)));
  seen.add(shorter.string(), stat_of(shorter), stat_of(shorter), wall_ns(), {});
  for (const fs::path& file : {after, gone, same, twice, twice}) read(seen, file);
  write("twice.wav", "abcdef");
  read(seen, twice);
  write("after.wav", "abcde");
  fs::remove(gone);
  TableRecord record;
  EXPECT_TRUE(fill(seen, same, record));
  EXPECT_EQ(seen.changed(), (std::vector<std::string>{after, during, gone, shorter, twice}));
  // What was found in its old state once may have changed since.
  write("same.wav", "other");
  EXPECT_EQ(seen.changed().size(), 5U);
  seen.look_again();
  EXPECT_EQ(seen.changed().size(), 6U);
}

TEST_F(Seen, ADamagedLogIsCutToItsWholeRecords) {
  std::vector<fs::path> files;
  for (int i = 0; i < 8; ++i)
    files.push_back(
        write(std::to_string(i) + ".wav", std::string(1 + static_cast<size_t>(i), 'x')));
  {
    SeenFiles seen(dir_ / "log");
    for (const fs::path& file : files) read(seen, file);
  }
  const std::string whole = read_file(dir_ / "log");
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text = whole;
    if (round % 2 == 0) {
      text.resize(random() % whole.size());
    } else {
      text[random() % text.size()] ^= static_cast<char>(1U << random() % 8U);
    }
    std::ofstream(dir_ / "log", std::ios::binary | std::ios::trunc) << text;
    SeenFiles seen(dir_ / "log");
    EXPECT_LT(seen.size(), 8U);
    for (size_t i = 0; i < files.size(); ++i) {
      TableRecord record;
      EXPECT_EQ(fill(seen, files[i], record), i < seen.size());
      if (i >= seen.size()) continue;
      EXPECT_EQ(record.hash, to_hash(sha256(std::string(i + 1, 'x'))));
    }
    // It goes on behind them.
    read(seen, files[7]);
    TableRecord record;
    EXPECT_TRUE(fill(seen, files[7], record));
    SeenFiles again(dir_ / "log");
    EXPECT_TRUE(fill(again, files[7], record));
  }
}

}  // namespace
}  // namespace xp::graph
