#include "data/loader.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "data/decode.h"
#include "data/export.h"
#include "tests/data/prepared.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

using testing::prepare_to;
using testing::synthetic;
using xp::testing::TempDir;

/// One set on disk for all tests of this file.
class LoaderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempDir>();
    dataset_ = synthetic(60, 0.5);
    shards_ = prepare_to(folder_->path(), dataset_);
  }
  static void TearDownTestSuite() {
    shards_.reset();
    folder_.reset();
  }

  LoaderOptions options(int64_t batch_size) const {
    LoaderOptions out;
    out.shards = shards_;
    out.rows = rows_;
    out.batch_size = batch_size;
    out.workers = 2;
    return out;
  }

  /// Everything of an epoch as one list of floats: sound, labels, rows.
  static std::vector<float> flatten(Loader& loader) {
    std::vector<float> all;
    while (auto batch = loader.next()) {
      all.insert(all.end(), batch->waves, batch->waves + batch->size * batch->samples);
      all.insert(all.end(), batch->labels, batch->labels + batch->size * batch->classes);
      for (const int64_t row : batch->rows) all.push_back(static_cast<float>(row));
    }
    return all;
  }

  std::vector<uint32_t> rows_ = rows_of_split(*shards_, dataset_, "train");
  static inline std::unique_ptr<TempDir> folder_;
  static inline schema::DatasetOptions dataset_;
  static inline std::shared_ptr<const ShardReader> shards_;
};

TEST_F(LoaderTest, GivesEachClipOnceWithItsSoundAndLabels) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  Loader loader(options(8), sampler);
  loader.start(0);
  std::multiset<int64_t> seen;
  int64_t step = 0;
  while (auto batch = loader.next()) {
    EXPECT_EQ(batch->step, step++);
    for (int64_t i = 0; i < batch->size; ++i) {
      const int64_t index = batch->rows[static_cast<size_t>(i)];
      const int64_t row = rows_[static_cast<size_t>(index)];
      seen.insert(index);
      std::vector<float> want(static_cast<size_t>(shards_->samples(row)));
      shards_->read(row, want);
      const float* wave = batch->waves + i * batch->samples;
      EXPECT_TRUE(std::equal(want.begin(), want.end(), wave));
      const float* labels = batch->labels + i * batch->classes;
      EXPECT_EQ(std::accumulate(labels, labels + batch->classes, 0.0F), 1.0F);
      EXPECT_EQ(labels[shards_->labels().of(row)[0]], 1.0F);
    }
  }
  EXPECT_EQ(seen.size(), rows_.size());
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), rows_.size());
  EXPECT_EQ(step, loader.steps_per_epoch());
}

TEST_F(LoaderTest, SameBatchesWhateverTheWorkers) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  LoaderOptions o = options(8);
  o.augment.mix_p = 0.5;
  o.augment.gain_db = 6;
  o.augment.roll = 50;
  std::vector<std::vector<float>> runs;
  for (const int workers : {1, 2, 5}) {
    o.workers = workers;
    Loader loader(o, sampler);
    loader.start(3);
    runs.push_back(flatten(loader));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
  EXPECT_FALSE(runs[0].empty());
}

TEST_F(LoaderTest, GivesSamplesAsTheyAreStoredWhereTheirValuesStay) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  for (const int64_t samples : {0, 3001, 9001}) {  // whole, cut, padded
    SCOPED_TRACE(samples);
    LoaderOptions o = options(7);
    o.samples = samples;
    o.crop = schema::Crop::kRandom;
    o.augment.roll = 50;
    Loader floats(o, sampler);
    o.pcm = true;
    Loader stored(o, sampler);
    floats.start(1);
    stored.start(1);
    while (const auto want = floats.next()) {
      const auto got = stored.next();
      ASSERT_TRUE(got);
      ASSERT_EQ(got->waves, nullptr);
      ASSERT_EQ(want->pcm, nullptr);
      const auto count = static_cast<size_t>(want->size * want->samples);
      std::vector<float> waves(count);
      from_pcm16({got->pcm, count}, waves);
      EXPECT_TRUE(std::equal(waves.begin(), waves.end(), want->waves));
      EXPECT_TRUE(std::equal(got->labels, got->labels + got->size * got->classes, want->labels));
      EXPECT_EQ(got->lengths, want->lengths);
    }
    EXPECT_FALSE(stored.next());
  }
  LoaderOptions o = options(7);
  o.pcm = true;
  o.augment.gain_db = 3;
  Loader louder(o, sampler);
  louder.start(0);
  EXPECT_NE(louder.next()->waves, nullptr);
}

TEST(Loader, ABatchWithAClipAboveFullScaleIsMadeOfFloats) {
  const TempDir folder;
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  dataset.root = (folder / "set").string();
  std::filesystem::create_directories(folder / "set/train/a");
  std::vector<std::vector<float>> waves;
  for (int i = 0; i < 4; ++i) {
    waves.emplace_back(4000, i == 2 ? -1.75F : 0.25F);
    write_wav(folder / "set/train/a" / (std::to_string(i) + ".wav"), waves.back(), 16000);
    round_as_stored(waves.back());
  }
  LoaderOptions o;
  o.shards = prepare_to(folder / "out", dataset);
  o.rows = {0, 1, 2, 3};
  o.batch_size = 2;
  o.pcm = true;
  schema::SamplerOptions in_order;
  in_order.kind = schema::SamplerKind::kSequential;
  const Sampler sampler(in_order, o.shards->labels(), o.rows, 1);
  Loader loader(o, sampler);
  loader.start(0);
  const auto within = loader.next();
  ASSERT_TRUE(within);
  EXPECT_NE(within->pcm, nullptr);
  EXPECT_EQ(within->waves, nullptr);
  const auto above = loader.next();
  ASSERT_TRUE(above);
  EXPECT_EQ(above->pcm, nullptr);
  ASSERT_NE(above->waves, nullptr);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(std::equal(waves[2 + i].begin(), waves[2 + i].end(),
                           above->waves + i * static_cast<size_t>(above->samples)));
  }
}

TEST_F(LoaderTest, AnImpulseResponseSoundsOnIntoThePadding) {
  const Sampler sampler(schema::SamplerOptions::of_kind(schema::SamplerKind::kSequential),
                        shards_->labels(), rows_, 7);
  const int64_t length = shards_->samples(rows_[0]);
  auto irs = std::make_shared<ImpulseResponses>();
  irs->waves.push_back(std::vector<float>(11));
  irs->waves[0][10] = 1;  // ten samples later
  LoaderOptions o = options(1);
  o.samples = length + 100;
  o.augment.ir_p = 1;
  o.augment.irs = irs;
  Loader loader(o, sampler);
  loader.start(0);
  const auto batch = *loader.next();
  std::vector<float> want(static_cast<size_t>(length));
  shards_->read(rows_[0], want);
  for (const int64_t i : {int64_t{0}, length / 2, length - 1})
    EXPECT_NEAR(batch.waves[i + 10], want[static_cast<size_t>(i)], 1e-5) << i;
  EXPECT_NEAR(batch.waves[length + 20], 0, 1e-5);
}

TEST_F(LoaderTest, GoesOnInMidEpoch) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  LoaderOptions o = options(7);
  o.augment.mix_p = 0.7;
  Loader loader(o, sampler);
  loader.start(1);
  for (int i = 0; i < 3; ++i) loader.next();
  const std::vector<float> rest = flatten(loader);
  Loader resumed(o, sampler);
  resumed.start(1, 3);
  EXPECT_EQ(flatten(resumed), rest);
}

TEST_F(LoaderTest, RanksShareTheGlobalBatch) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  LoaderOptions o = options(10);
  o.augment.mix_p = 0.5;
  Loader whole(o, sampler);
  whole.start(2);
  std::vector<std::unique_ptr<Loader>> ranks;
  for (int r = 0; r < 3; ++r) {
    o.rank = r;
    o.world = 3;
    ranks.push_back(std::make_unique<Loader>(o, sampler));
    ranks.back()->start(2);
  }
  while (auto want = whole.next()) {
    std::vector<float> parts;
    std::vector<int64_t> rows;
    for (auto& rank : ranks) {
      auto part = rank->next();
      ASSERT_TRUE(part.has_value());
      parts.insert(parts.end(), part->waves, part->waves + part->size * part->samples);
      rows.insert(rows.end(), part->rows.begin(), part->rows.end());
    }
    EXPECT_EQ(rows, want->rows);
    EXPECT_EQ(parts, std::vector<float>(want->waves, want->waves + want->size * want->samples));
  }
  for (auto& rank : ranks) EXPECT_FALSE(rank->next().has_value());
}

TEST_F(LoaderTest, CutsAndPads) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  LoaderOptions o = options(4);
  for (const int64_t samples : {3000, 20000}) {
    o.samples = samples;
    for (const auto crop : {schema::Crop::kHead, schema::Crop::kCenter, schema::Crop::kRandom}) {
      o.crop = crop;
      Loader loader(o, sampler);
      loader.start(0);
      const auto batch = loader.next();
      ASSERT_TRUE(batch.has_value());
      EXPECT_EQ(batch->samples, samples);
      EXPECT_EQ(batch->lengths, std::vector<int64_t>(4, samples));
      std::vector<float> clip(8000);
      shards_->read(rows_[static_cast<size_t>(batch->rows[0])], clip);
      const std::vector<float> got(batch->waves, batch->waves + samples);
      if (samples > 8000) {
        clip.resize(static_cast<size_t>(samples), 0.0F);
        EXPECT_EQ(got, clip);
      } else {
        const auto found = std::search(clip.begin(), clip.end(), got.begin(), got.end());
        ASSERT_NE(found, clip.end());
        const auto at = found - clip.begin();
        EXPECT_TRUE(crop != schema::Crop::kHead || at == 0);
        EXPECT_TRUE(crop != schema::Crop::kCenter || at == 2500);
      }
    }
  }
}

TEST_F(LoaderTest, MixesLabelsWithTheWeightOfTheSound) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  LoaderOptions o = options(40);
  o.augment.mix_p = 1;
  o.augment.mix_max = true;
  Loader loader(o, sampler);
  loader.start(0);
  const auto batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  for (int64_t i = 0; i < batch->size; ++i) {
    const auto at = static_cast<size_t>(i);
    const float m = batch->mix[at];
    EXPECT_GE(m, 0.5F);
    EXPECT_LE(m, 1.0F);
    const int32_t own = shards_->labels().of(rows_[static_cast<size_t>(batch->rows[at])])[0];
    const int32_t other =
        shards_->labels().of(rows_[static_cast<size_t>(batch->partner_rows[at])])[0];
    const float* labels = batch->labels + i * batch->classes;
    if (own == other) {
      EXPECT_FLOAT_EQ(labels[own], 1.0F);
    } else {
      EXPECT_FLOAT_EQ(labels[own], m);
      EXPECT_FLOAT_EQ(labels[other], 1 - m);
    }
    const float* wave = batch->waves + i * batch->samples;
    EXPECT_NEAR(
        std::accumulate(wave, wave + batch->samples, 0.0) / static_cast<double>(batch->samples), 0,
        1e-6);
  }
}

TEST_F(LoaderTest, BatchOutlivesTheLoaderAndUsesTheAllocator) {
  const Sampler sampler({}, shards_->labels(), rows_, 7);
  std::atomic<int> live = 0;
  std::optional<Batch> batch;
  {
    LoaderOptions o = options(4);
    o.allocator = {[&](size_t bytes) {
                     ++live;
                     return ::operator new(bytes);
                   },
                   [&](void* memory, size_t) {
                     --live;
                     ::operator delete(memory);
                   }};
    Loader loader(o, sampler);
    loader.start(0);
    batch = loader.next();
  }
  EXPECT_GT(live, 0);
  EXPECT_NE(batch->waves[batch->samples / 2], 1e9F);
  batch.reset();
  EXPECT_EQ(live, 0);
}

TEST_F(LoaderTest, DamagedClipIsNamedAtItsBatch) {
  const TempDir folder;
  const auto dataset = synthetic(20, 0.2);
  prepare_to(folder.path(), dataset);
  const auto file = folder / "shard-00000.h5";
  {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-100, std::ios::end);
    out.put('x');
  }
  auto shards = std::make_shared<const ShardReader>(folder.path());
  std::vector<uint32_t> rows(20);
  std::iota(rows.begin(), rows.end(), 0U);
  schema::SamplerOptions in_order;
  in_order.kind = schema::SamplerKind::kSequential;
  const Sampler sampler(in_order, shards->labels(), rows, 0);
  LoaderOptions o;
  o.shards = shards;
  o.rows = rows;
  o.batch_size = 10;
  Loader loader(o, sampler);
  loader.start(0);
  EXPECT_TRUE(loader.next().has_value());
  try {
    loader.next();
    FAIL() << "a damaged clip was given out";
  } catch (const Error& error) {
    EXPECT_EQ(
        error.message(),
        file.string() +
            ": clip 'synthetic-000019' is damaged: its checksum differs; run `exp data verify`, "
            "then prepare the data set again");
    EXPECT_EQ(error.code(), Exit::kData);
  }
}

TEST_F(LoaderTest, ShardReplacedOrRemovedWhileOpenIsReadAsItWas) {
  const TempDir folder;
  const auto dataset = synthetic(20, 0.2);
  const auto shards = prepare_to(folder.path(), dataset);
  std::vector<float> before(3200);
  shards->read(5, before);
  std::filesystem::remove(folder / "shard-00000.h5");
  std::ofstream(folder / "shard-00000.h5") << "something else";
  std::vector<float> after(3200);
  shards->read(5, after);
  EXPECT_EQ(before, after);
}

TEST(LoaderIntegration, Esc10FoldsShuffled) {
  const auto root = xp::testing::env("EXP_DATA");
  if (root.empty()) GTEST_SKIP() << "EXP_DATA is not set";
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kEsc50);
  dataset.root = std::string(root) + "/esc10";
  dataset.subset = schema::EscSubset::kEsc10;
  const TempDir folder;
  const auto shards = prepare_to(folder.path(), dataset);
  ASSERT_EQ(shards->clips(), 400);
  ASSERT_EQ(shards->classes().size(), 10U);
  EXPECT_EQ(shards->classes()[0].name, "dog");
  const auto train = rows_of_split(*shards, dataset, "train");
  const auto test = rows_of_split(*shards, dataset, "test");
  EXPECT_EQ(train.size(), 320U);
  EXPECT_EQ(test.size(), 80U);
  EXPECT_TRUE(rows_of_split(*shards, dataset, "val").empty());
  const Sampler sampler({}, shards->labels(), train, 1);
  LoaderOptions o;
  o.shards = shards;
  o.rows = train;
  o.batch_size = 32;
  Loader loader(o, sampler);
  loader.start(0);
  int64_t clips = 0;
  Decoder decoder({});
  while (auto batch = loader.next()) {
    const int64_t row = train[static_cast<size_t>(batch->rows[0])];
    const std::string id(shards->id(row));
    Wave wave = decoder.read(FileSource{dataset.root + "/audio/" + id + ".ogg"});
    ASSERT_EQ(wave.problem, "");
    round_as_stored(wave.samples);
    ASSERT_EQ(static_cast<int64_t>(wave.samples.size()), batch->lengths[0]);
    for (size_t i = 0; i < wave.samples.size(); ++i) {
      ASSERT_EQ(wave.samples[i], batch->waves[i]);
    }
    clips += batch->size;
  }
  EXPECT_EQ(clips, 320);
}

}  // namespace
}  // namespace xp::data
