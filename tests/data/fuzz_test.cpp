// The corpora of tests/fuzz, replayed, and some thousand mutations of them: under the sanitizers
// these tests are the fuzz targets' regression tests.
#include <filesystem>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/base/rng.h"
#include "tests/fuzz/readers.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;

/// A few bytes changed, cut out or doubled.
std::string mutated(std::string bytes, Rng& rng) {
  for (uint64_t k = 1 + rng.below(6); k > 0 && !bytes.empty(); --k) {
    const size_t at = rng.below(bytes.size());
    const size_t count = 1 + rng.below(std::min<size_t>(16, bytes.size() - at));
    switch (rng.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        bytes.erase(at, count);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, count));
        break;
      default:
        bytes[at] = "\",\n\r#{}[]:\\0-"[rng.below(13)];
    }
  }
  return bytes;
}

TEST(ListFuzzIntegration, CorpusAndMutations) {
  int seeds = 0;
  Rng rng(1, "fuzz lists");
  for (const auto& entry :
       fs::directory_iterator(xp::testing::source_dir() / "tests/fuzz/corpus/lists")) {
    const std::string bytes = read_file(entry.path());
    ASSERT_FALSE(bytes.empty());
    ++seeds;
    const auto kind = static_cast<unsigned char>(bytes[0]);
    fuzz::read_list(kind, bytes.substr(1));
    for (int i = 0; i < 300; ++i) fuzz::read_list(kind, mutated(bytes.substr(1), rng));
  }
  EXPECT_GE(seeds, 16);
}

TEST(ShardFuzzIntegration, MutatedGoldenShards) {
  const xp::testing::TempDir folder;
  const fs::path golden = xp::testing::source_dir() / "tests/fixtures/prepared_v1";
  const std::string bytes = read_file(golden / "shard-00000.h5");
  Rng rng(1, "fuzz shards");
  for (int i = 0; i < 500; ++i) fuzz::read_shard(golden, folder / "out", mutated(bytes, rng));
  fuzz::read_shard(golden, folder / "out", "");
  fuzz::read_shard(golden, folder / "out", bytes.substr(0, bytes.size() / 2));
}

TEST(ShardFuzzIntegration, FalseTablesUnderRightSums) {
  const xp::testing::TempDir folder;
  const fs::path golden = xp::testing::source_dir() / "tests/fixtures/prepared_v1";
  Rng rng(1, "fuzz tables");
  for (int i = 0; i < 300; ++i) {
    std::string script;
    for (uint64_t k = 8 * (1 + rng.below(3)); k > 0; --k)
      script += static_cast<char>(rng.below(4) == 0 ? rng.below(256) : rng.below(3));
    fuzz::read_false_tables(golden, folder / "out", script);
  }
}

}  // namespace
}  // namespace xp::data
