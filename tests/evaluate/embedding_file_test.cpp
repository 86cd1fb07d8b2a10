#include "core/evaluate/embedding_file.h"

#include <filesystem>
#include <numeric>

#include <gtest/gtest.h>

#include "core/evaluate/score_file.h"
#include "tests/testing/temp_dir.h"

namespace xp::evaluate {
namespace {

/// Pieces of any size, and a clip that is taken back, on both sides of a chunk.
TEST(EmbeddingFile, HoldsTheRowsOfTheClipsThatStay) {
  const xp::testing::TempDir folder;
  std::vector<std::string> ids;
  std::vector<float> values;
  std::vector<double> times;
  {
    EmbeddingFile file(folder / "e.h5", {"short", "a longer name", "gone"}, {{"model", "m"}});
    float next = 0;
    const auto append = [&](const std::string& id, int64_t rows, bool stays) {
      std::vector<float> some(static_cast<size_t>(rows) * 3);
      std::iota(some.begin(), some.end(), next);
      next += static_cast<float>(some.size());
      const std::vector<double> at(static_cast<size_t>(rows), static_cast<double>(next));
      file.append(id, some, 3, at);
      if (!stays) return;
      ids.insert(ids.end(), static_cast<size_t>(rows), id);
      values.insert(values.end(), some.begin(), some.end());
      times.insert(times.end(), at.begin(), at.end());
    };
    append("short", 100, true);
    append("short", 300, true);
    append("gone", 20, false);
    file.cut(400);
    append("gone", 700, false);
    file.cut(400);
    append("a longer name", 500, true);
    EXPECT_EQ(file.rows(), 900);
    EXPECT_FALSE(std::filesystem::exists(folder / "e.h5"));
    file.commit();
  }
  const ScoreFile read = read_scores(folder / "e.h5");
  EXPECT_EQ(read.dataset, "embeddings");
  EXPECT_EQ(read.width, 3);
  EXPECT_EQ(read.ids, ids);
  EXPECT_EQ(read.values, values);
  EXPECT_EQ(read.times_ms, times);
  EXPECT_EQ(read.texts.at("model"), "m");
}

}  // namespace
}  // namespace xp::evaluate
