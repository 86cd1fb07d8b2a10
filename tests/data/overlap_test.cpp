#include "data/overlap.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "data/export.h"
#include "tests/data/prepared.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::prepare_to;
using xp::testing::TempDir;

/// A clip of its own for each number; 0 is silence.
void put_clip(const fs::path& file, int number) {
  fs::create_directories(file.parent_path());
  std::vector<float> wave(1600);
  for (size_t i = 0; i < wave.size(); ++i)
    wave[i] = number == 0 ? 0.0F : static_cast<float>((i * 7 + i % 3) % 100) / 200 / number;
  write_wav(file, wave, 16000);
}

TEST(Overlap, NamesClipsOfTheTestThatAreTrainingClipsToo) {
  const TempDir folder;
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  dataset.root = (folder / "set").string();
  const fs::path root = folder / "set";
  for (int i = 0; i < 4; ++i) put_clip(root / "train/a" / (std::to_string(i) + ".wav"), i);
  for (int i = 4; i < 6; ++i) put_clip(root / "test/a" / (std::to_string(i) + ".wav"), i);
  put_clip(root / "val/a/9.wav", 9);
  put_clip(root / "test/a/0.wav", 0);
  const auto apart = prepare_to(folder / "apart", dataset);
  EXPECT_TRUE(overlap_warnings(*apart, dataset).empty()) << "silence is no copy";

  put_clip(root / "test/a/copy.wav", 2);
  put_clip(root / "test/b/3.wav", 3);
  put_clip(root / "val/a/1.wav", 1);
  const auto shards = prepare_to(folder / "out", dataset);
  EXPECT_EQ(overlap_warnings(*shards, dataset),
            (std::vector<std::string>{
                "2 of 5 test clips are in train too, sample for sample (a/copy.wav = a/2.wav, "
                "b/3.wav = a/3.wav): what is learned by heart counts as right",
                "1 of 2 val clips are in train too, sample for sample (a/1.wav): what is learned "
                "by heart counts as right"}));
  // Said once where the test is what validates.
  dataset.val = "test";
  EXPECT_EQ(overlap_warnings(*shards, dataset).size(), 1U);
  dataset.test = "none";
  dataset.val = "none";
  EXPECT_TRUE(overlap_warnings(*shards, dataset).empty());
}

}  // namespace
}  // namespace xp::data
