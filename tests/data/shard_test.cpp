#include "data/shard.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "data/shard_writer.h"
#include "tests/data/faults.h"
#include "tests/data/prepared.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::prepare_to;
using testing::synthetic;
using xp::testing::TempDir;

/// What tests/fixtures/prepared_v1 was written from: three clips, two splits, a mask, a class
/// without clips; prepared_v2: the same with a clip above full scale.
void write_golden(const fs::path& folder, int version) {
  fs::create_directories(folder);
  std::vector<ShardRow> rows(3);
  std::vector<int16_t> pcm;
  for (size_t i = 0; i < rows.size(); ++i) {
    ShardRow& row = rows[i];
    row.id = i == 0 ? "-dash" : i == 1 ? "caf\xC3\xA9" : "third";
    row.samples = 10 * (i + 1);
    row.bytes = 2 * row.samples;
    row.labels = i == 1 ? std::vector<Label>{{0, 0.25F}, {2, 1.0F}}
                        : std::vector<Label>{{static_cast<int32_t>(i), 1.0F}};
    row.known = {0, 2};
    row.split = i == 2 ? 1 : 0;
    row.fold = static_cast<int32_t>(i) + 1;
    row.source_s = 0.5 * static_cast<double>(i + 1);
    if (version == 2 && i == 1) row.scale = 2.5F;
    std::vector<int16_t> own;
    for (size_t s = 0; s < row.samples; ++s)
      own.push_back(static_cast<int16_t>(1000 * static_cast<int>(i) - 7 * static_cast<int>(s)));
    row.checksum = checksum64(std::as_bytes(std::span(own)));
    pcm.insert(pcm.end(), own.begin(), own.end());
  }
  const fs::path sound = folder / "sound";
  std::ofstream(sound, std::ios::binary)
      .write(reinterpret_cast<const char*>(pcm.data()),
             static_cast<std::streamsize>(2 * pcm.size()));
  write_shard(folder / "shard-00000.h5", {0, 8000, ShardStore::kPcm16, 4, true}, rows, sound);
  fs::remove(sound);
  PreparedIndex index;
  index.rate_hz = 8000;
  index.masked = true;
  index.scaled = version == 2;
  index.classes = {{"/m/a", "A, first"}, {"/m/b", "B"}, {"/m/c", "C"}, {"/m/d", "never"}};
  index.sets.push_back({"openmic", {{"train", "train"}, {"test", "test"}}, false});
  index.shards.push_back({"shard-00000.h5", 3,
                          static_cast<int64_t>(fs::file_size(folder / "shard-00000.h5")),
                          seal_of(folder / "shard-00000.h5")});
  write_index(folder, index);
}

fs::path golden(int version = 1) {
  return xp::testing::source_dir() / fmt::format("tests/fixtures/prepared_v{}", version);
}

TEST(ShardFormat, WritesTheGoldenFiles) {
  for (const int version : {1, 2}) {
    const TempDir folder;
    write_golden(folder.path(), version);
    if (!xp::testing::env("EXP_UPDATE_GOLDEN").empty()) write_golden(golden(version), version);
    for (const char* name : {"index.json", "shard-00000.h5"}) {
      EXPECT_EQ(read_file(folder / name), read_file(golden(version) / name))
          << name << ": the format changed; a new version needs a new golden file";
    }
  }
}

/// The columns of version 1 are those of version 2, and its samples stand for themselves.
TEST(ShardFormat, AScaleIsWhatVersionTwoAdds) {
  const ShardReader plain(golden(1)), scaled(golden(2));
  ASSERT_EQ(scaled.clips(), plain.clips());
  for (int64_t row = 0; row < plain.clips(); ++row) {
    std::vector<int16_t> pcm[2];
    std::vector<float> waves[2];
    for (int i = 0; i < 2; ++i) {
      const ShardReader& shards = i == 0 ? plain : scaled;
      pcm[i].resize(static_cast<size_t>(shards.samples(row)));
      waves[i].resize(pcm[i].size());
      shards.read(row, pcm[i]);
      shards.read(row, waves[i]);
    }
    EXPECT_EQ(pcm[0], pcm[1]);
    EXPECT_EQ(plain.scale(row), 1.0F);
    EXPECT_EQ(scaled.scale(row), row == 1 ? 2.5F : 1.0F);
    for (size_t s = 0; s < waves[0].size(); ++s)
      EXPECT_EQ(waves[1][s], waves[0][s] * scaled.scale(row));
  }
}

TEST(ShardFormat, ReadsTheGoldenFile) {
  const ShardReader shards(golden());
  ASSERT_EQ(shards.clips(), 3);
  EXPECT_EQ(shards.rate_hz(), 8000);
  EXPECT_EQ(shards.dataset(), "openmic");
  EXPECT_EQ(shards.classes()[0].name, "A, first");
  EXPECT_EQ(shards.id(0), "-dash");
  EXPECT_EQ(shards.id(1), "caf\xC3\xA9");
  EXPECT_EQ(shards.samples(2), 30);
  EXPECT_EQ(shards.fold(2), 3);
  EXPECT_EQ(shards.split(2), 1);
  EXPECT_DOUBLE_EQ(shards.source_seconds(1), 1.0);
  const LabelTable labels = shards.labels();
  ASSERT_EQ(labels.of(1).size(), 2U);
  EXPECT_EQ(labels.of(1)[1], 2);
  EXPECT_EQ(labels.values_of(1)[0], 0.25F);
  std::vector<float> known(4);
  shards.known(0, known);
  EXPECT_EQ(known, (std::vector<float>{1, 0, 1, 0}));
  std::vector<int16_t> pcm(20);
  shards.read(1, pcm);
  EXPECT_EQ(pcm[0], 1000);
  EXPECT_EQ(pcm[19], 1000 - 7 * 19);
}

class DamagedShard : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy(golden(), folder_.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  std::string open() {
    return message_of([&] { const ShardReader reader(folder_.path()); });
  }
  void replace_in_index(const std::string& from, const std::string& to) {
    std::string text = read_file(folder_ / "index.json");
    text.replace(text.find(from), from.size(), to);
    std::ofstream(folder_ / "index.json") << text;
  }
  TempDir folder_;
};

TEST_F(DamagedShard, IsSaidWhenOpened) {
  const std::string shard = (folder_ / "shard-00000.h5").string();
  const auto size = fs::file_size(folder_ / "shard-00000.h5");
  fs::resize_file(shard, size - 10);
  EXPECT_EQ(open(), shard + ": broken shard: " + std::to_string(size - 10) +
                        " bytes, the index says " + std::to_string(size) +
                        "; prepare the data set again");
  fs::remove(shard);
  EXPECT_EQ(open(), "cannot open " + shard + ": No such file or directory");
  std::ofstream(shard) << std::string(size, 'x');
  EXPECT_EQ(open(), shard +
                        ": broken shard: its tables are damaged: their sum is not that of the "
                        "index; prepare the data set again");
}

/// Folders that were prepared before the index held sums.
TEST_F(DamagedShard, AnIndexWithoutSumsIsRead) {
  PreparedIndex index = read_index(folder_.path());
  ASSERT_TRUE(index.shards[0].seal.sum);
  index.shards[0].seal = {};
  write_index(folder_.path(), index);
  EXPECT_EQ(read_file(folder_ / "index.json").find("sum"), std::string::npos);
  EXPECT_EQ(ShardReader(folder_.path()).clips(), 3);
  const std::string shard = (folder_ / "shard-00000.h5").string();
  const auto size = fs::file_size(shard);
  std::ofstream(shard) << std::string(size, 'x');
  EXPECT_EQ(open(), shard + ": not a readable HDF5 file");
}

TEST_F(DamagedShard, IndexFaults) {
  const std::string index = (folder_ / "index.json").string();
  replace_in_index("\"version\": 1", "\"version\": 3");
  EXPECT_EQ(open(), index + ": format version 3 is newer than this exp reads (2)");
  replace_in_index("\"version\": 3", "\"version\": 1");
  replace_in_index("\"rate_hz\": 8000", "\"rate_hz\": 16000");
  EXPECT_EQ(open(), (folder_ / "shard-00000.h5").string() +
                        ": broken shard: rate, store or classes are not those of the index; "
                        "prepare the data set again");
  replace_in_index("\"sound_bytes\": ", "\"sound_bytes\": 9");
  EXPECT_EQ(open(), index + ": broken: implausible shard 'shard-00000.h5'");
  std::ofstream(index) << "{";
  EXPECT_TRUE(open().starts_with(index + ": broken: "));
  fs::remove(index);
  EXPECT_EQ(open(), folder_.path().string() + " is not a prepared data set: it has no index.json");
}

/// Every other byte of the file flipped in turn: the shard is named as damaged before HDF5 sees it,
/// or the clip is; there is no other sound or label.
TEST(ShardFuzzIntegration, NoSilentlyWrongClip) {
  const TempDir folder;
  fs::copy(golden(), folder.path(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const fs::path shard = folder / "shard-00000.h5";
  const std::string good = read_file(shard);
  const Seal seal = read_index(folder.path()).shards[0].seal;
  const auto begin = static_cast<size_t>(seal.sound_offset);
  const auto end = begin + static_cast<size_t>(seal.sound_bytes);
  for (size_t at = 0; at < good.size(); at += 2) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    std::ofstream(shard, std::ios::binary) << bytes;
    std::string said;
    try {
      const ShardReader reader(folder.path());
      for (int64_t row = 0; row < reader.clips(); ++row) {
        std::vector<int16_t> pcm(static_cast<size_t>(reader.samples(row)));
        reader.read(row, pcm);
      }
    } catch (const Error& error) {
      said = error.message();
    }
    const bool sound = at >= begin && at < end;
    const std::string want = shard.string() + (sound ? ": clip '" : ": broken shard: its tables");
    ASSERT_TRUE(said.starts_with(want)) << "byte " << at << ": " << said;
  }
}

TEST(ShardReaderIntegration, OpensInH5pyAsDocumented) {
  const std::string script = (xp::testing::source_dir() / "tests/data/shard_h5py_test.py").string();
  if (std::system("python3 -c 'import h5py' 2>/dev/null") != 0) GTEST_SKIP() << "no h5py here";
  for (const int version : {1, 2})
    EXPECT_EQ(std::system(("python3 " + script + " " + golden(version).string()).c_str()), 0);
}

TEST(ShardReader, ManyThreadsAtOnce) {
  const TempDir folder;
  const auto shards = prepare_to(folder.path(), synthetic(40, 0.3));
  std::vector<std::vector<float>> want;
  for (int64_t row = 0; row < 40; ++row) {
    want.emplace_back(static_cast<size_t>(shards->samples(row)));
    shards->read(row, want.back());
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> got(want[0].size());
      for (int i = 0; i < 200; ++i) {
        const int64_t row = (i * 7 + t * 13) % 40;
        shards->read(row, got);
        wrong += got != want[static_cast<size_t>(row)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace xp::data
