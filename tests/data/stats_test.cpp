#include "data/stats.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/stage.h"
#include "core/schema/augment.h"
#include "core/schema/frontend.h"
#include "data/export.h"
#include "tests/data/prepared.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

using testing::prepare_to;
using testing::synthetic;
using xp::testing::TempDir;

TEST(NormStats, SameBitsWhateverTheThreadsAndAsTheStageWritesThem) {
  const TempDir folder;
  const auto dataset = synthetic(100, 0.5);
  const auto shards = prepare_to(folder / "data", dataset);
  const auto rows = rows_of_split(*shards, dataset, "train");
  const schema::FrontendOptions frontend;
  StatsJob job;
  const auto one = norm_stats(*shards, rows, frontend, job);
  job.threads = 3;
  const auto three = norm_stats(*shards, rows, frontend, job);
  EXPECT_EQ(one.mean, three.mean);
  EXPECT_EQ(one.std, three.std);
  EXPECT_EQ(one.clips, 80);
  EXPECT_EQ(one.values, 80 * 48 * 128);  // 1 + (8000 - 400) / 160 frames
  EXPECT_LT(one.mean, 0);
  EXPECT_GT(one.std, 1);

  schema::StatsOptions options;
  options.dataset = dataset;
  graph::StageContext context;
  graph::StageInput input;
  input.role = "data";
  input.path = folder / "data";
  context.inputs.push_back(input);
  context.output = folder / "out";
  std::filesystem::create_directories(context.output);
  run_stats(options, context);
  const auto written = nlohmann::json::parse(read_file(folder / "out/stats.json"));
  EXPECT_EQ(written.at("norm_mean").get<double>(), one.mean);
  EXPECT_EQ(written.at("norm_std").get<double>(), one.std);
}

TEST(NormStats, AstScriptCountsPaddingAndMasks) {
  const TempDir folder;
  const auto dataset = synthetic(60, 0.5);
  const auto shards = prepare_to(folder.path(), dataset);
  const auto rows = rows_of_split(*shards, dataset, "train");
  schema::FrontendOptions frontend;
  frontend.frames = 48;
  schema::AugmentOptions augment;
  const auto exact = norm_stats(*shards, rows, frontend, {});
  const auto plain = ast_norm_stats(shards, rows, frontend, augment, 0, {});
  EXPECT_NEAR(plain.mean, exact.mean, 1e-4);  // one batch, nothing padded, nothing masked
  EXPECT_NEAR(plain.std, exact.std, 1e-3);
  augment.freq_mask_bins = 48;
  augment.time_mask_frames = 24;
  const auto masked = ast_norm_stats(shards, rows, frontend, augment, 0, {});
  EXPECT_GT(masked.mean, plain.mean);  // masks write 0 over values far below
  frontend.frames = 96;
  augment = {};
  const auto padded = ast_norm_stats(shards, rows, frontend, augment, 0, {});
  EXPECT_NEAR(padded.mean, plain.mean / 2, 1e-3);
}

TEST(Summary, LevelsAndClasses) {
  const TempDir folder;
  const auto root = folder / "set/train";
  const auto wav = [&](const char* name, const std::vector<int16_t>& pcm) {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream out(root / name, std::ios::binary);
    const auto bytes = static_cast<uint32_t>(2 * pcm.size());
    const uint32_t riff = bytes + 36;
    out << "RIFF";
    out.write(reinterpret_cast<const char*>(&riff), 4);
    out << std::string("WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3E\0\0\0\x7D\0\0\x02\0\x10\0data", 32);
    out.write(reinterpret_cast<const char*>(&bytes), 4);
    out.write(reinterpret_cast<const char*>(pcm.data()), bytes);
  };
  wav("cat/half.wav", std::vector<int16_t>(16000, 16384));
  wav("cat/silent.wav", std::vector<int16_t>(8000, 0));
  wav("dog/full.wav", std::vector<int16_t>(4000, 32767));
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  dataset.root = (folder / "set").string();
  const auto shards = prepare_to(folder / "out", dataset);
  const std::vector<uint32_t> rows = {0, 1, 2};
  const SplitSummary s = summarise(*shards, rows, {});
  EXPECT_EQ(s.clips, 3);
  EXPECT_EQ(s.silent, 1);
  EXPECT_EQ(s.clipped, 1);
  EXPECT_DOUBLE_EQ(s.seconds, 1.75);
  EXPECT_DOUBLE_EQ(s.shortest_s, 0.25);
  EXPECT_NEAR(s.peak_db, 0, 1e-3);
  EXPECT_NEAR(s.mean_rms_db, -3.01, 0.01);
  EXPECT_EQ(s.class_clips, (std::vector<int64_t>{2, 1}));
}

/// Levels are those of the sound, whatever the scale that a clip is stored with.
TEST(Summary, ClipsAboveFullScale) {
  const TempDir folder;
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  dataset.root = (folder / "set").string();
  std::filesystem::create_directories(folder / "set/train/cat");
  std::vector<float> wave(16000);
  for (size_t i = 0; i < wave.size(); ++i) wave[i] = i % 2 == 0 ? 2.0F : -2.0F;
  write_wav(folder / "set/train/cat/loud.wav", wave, 16000);
  for (float& x : wave) x /= 4;
  write_wav(folder / "set/train/cat/quiet.wav", wave, 16000);
  const auto shards = prepare_to(folder / "out", dataset);
  const std::vector<uint32_t> rows = {0, 1};
  const SplitSummary s = summarise(*shards, rows, {});
  EXPECT_EQ(s.above, 1);
  const double loud_db = 20 * std::log10(2.0);
  EXPECT_NEAR(s.above_db, loud_db, 1e-3);
  EXPECT_NEAR(s.peak_db, loud_db, 1e-3);
  EXPECT_NEAR(s.mean_rms_db, (loud_db - loud_db) / 2, 1e-2);
}

}  // namespace
}  // namespace xp::data
