// Shards of the version before: what of them is right is taken over, nothing that might be wrong.
#include "data/earlier.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/files.h"
#include "core/graph/inputs.h"
#include "data/export.h"
#include "tests/data/prepared.h"
#include "tests/data/preparing_run.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using graph::Cache;
using testing::content;
using testing::Preparer;
using testing::Teller;

class EarlierShardsRun : public testing::PreparingRun {
 protected:
  /// A cache and its memory of files as version 4 of the stage leaves them: all files of the folder
  /// are in its key. `then` may change what the shards were not made of.
  std::string prepare_as_before(
      const Cache& cache, const std::function<void()>& then = [] {}) const {
    graph::InputDigests elsewhere(dir_ / "elsewhere"), inputs(cache.root() / "inputs");
    graph::Graph made = build(elsewhere, cache, false);
    graph::Node& node = made.nodes.front();
    fs::create_directories(dir_ / "made");
    PrepareJob job;
    job.output = dir_ / "made";
    prepare(graph::options_of<schema::PrepareOptions>(node), job);
    then();
    node.version = 4;
    for (graph::Edge& edge : node.inputs) {
      if (edge.role == "dataset.root") edge.digest = inputs.tree(edge.path).digest;
    }
    graph::set_keys(made);
    auto claim = cache.claim(
        graph::wanted_output(made, node, ""), false, [](const graph::Holder&) { return false; },
        [](const std::string&) {});
    EXPECT_TRUE(claim.has_value());
    for (const auto& entry : fs::directory_iterator(dir_ / "made"))
      fs::rename(entry.path(), claim->output() / entry.path().filename());
    return claim->publish({}, 1).key;
  }
  /// The lines of a run on `cache`, whose output has to be what is made from nothing.
  std::string run_after(const Cache& cache, const std::string& count) const {
    Preparer preparer;
    Teller teller;
    const Done done = run(cache, preparer, teller);
    EXPECT_EQ(done.execution.code(), Exit::kOk);
    EXPECT_EQ(preparer.first, 0) << "the set is known by what was made of it";
    const Done fresh = run(Cache(dir_ / "fresh" / count), false);
    EXPECT_EQ(done.key, fresh.key);
    EXPECT_EQ(content(done.folder), content(fresh.folder));
    return teller.said;
  }
  static bool taken(const std::string& said, int clips, int decoded) {
    return said.find(fmt::format("{} clips were taken over from the shards of the version before; "
                                 "{} were decoded",
                                 clips, decoded)) != std::string::npos;
  }
};

TEST_F(EarlierShardsRun, AreTakenOverUnderTheNewKey) {
  const Cache cache(dir_ / "cache");
  const std::string before = prepare_as_before(cache);
  graph::InputDigests inputs(cache.root() / "inputs");
  const graph::Plan plan = graph::make_plan(build(inputs, cache), cache, &inputs, {});
  EXPECT_EQ(plan.steps[0].earlier, before);
  EXPECT_EQ(plan.steps[0].reasons,
            (std::vector<std::string>{fmt::format(
                "version of prepare 4 -> 5: of prepare/{} what is right already is taken over, not "
                "made again",
                before.substr(0, 12))}));
  const std::string said = run_after(cache, "a");
  EXPECT_TRUE(taken(said, 40, 0)) << said;
  EXPECT_EQ(run(cache).execution.nodes[0].result, graph::Result::kCached);
}

TEST_F(EarlierShardsRun, InFlacToo) {
  more_ = ", store = 'flac'";
  const Cache cache(dir_ / "cache");
  prepare_as_before(cache);
  const std::string said = run_after(cache, "a");
  EXPECT_TRUE(taken(said, 40, 0)) << said;
}

TEST_F(EarlierShardsRun, AClipThatMayBeCutOffIsDecoded) {
  std::vector<float> wave(16000, 0.5F);
  const auto file = dir_ / "set/audio/7.wav";
  // Of the loud sound version 4 kept what 16 bits hold.
  for (const float peak : {1.0F, -1.0F}) {
    SCOPED_TRACE(peak);
    const Cache cache(dir_ / fmt::format("cache{}", peak));
    wave[100] = peak;
    write_wav(file, wave, 16000);
    prepare_as_before(cache, [&] {
      wave[100] = 2 * peak;
      write_wav(file, wave, 16000);
    });
    const std::string said = run_after(cache, fmt::format("loud{}", peak));
    EXPECT_TRUE(taken(said, 39, 1)) << said;
    EXPECT_NE(said.find("1 of 40 clips go above full scale, by up to 6.02 dB"), std::string::npos)
        << said;
  }
}

TEST_F(EarlierShardsRun, AClipThatWasBadIsDecoded) {
  const auto file = dir_ / "set/audio/7.wav";
  std::string piped = read_file(file);
  xp::testing::put(file, "no sound");
  const Cache cache(dir_ / "cache");
  const size_t size = piped.find("data") + 4;
  piped.replace(size, 4, 4, '\0');
  prepare_as_before(cache, [&] { xp::testing::put(file, piped); });
  const std::string said = run_after(cache, "a");
  EXPECT_TRUE(taken(said, 39, 1)) << said;
}

TEST_F(EarlierShardsRun, NothingOfOtherFilesOrOptions) {
  most_unread_ = uint64_t{1} << 30U;
  const Cache cache(dir_ / "cache");
  prepare_as_before(cache);
  const auto earlier = [&](const std::string& more) {
    graph::InputDigests inputs(cache.root() / "inputs");
    const std::string kept = std::exchange(more_, more);
    const graph::Plan plan = graph::make_plan(build(inputs, cache), cache, &inputs, {});
    more_ = kept;
    return plan.steps[0].earlier;
  };
  EXPECT_NE(earlier(""), "");
  EXPECT_EQ(earlier(", resample = 'vhq'"), "");
  const std::string readme = read_file(dir_ / "set/README.md");
  xp::testing::put(dir_ / "set/README.md", "another text");
  EXPECT_EQ(earlier(""), "") << "nobody knows what else changed";
  xp::testing::put(dir_ / "set/README.md", readme);
  EXPECT_NE(earlier(""), "");
  sound(dir_ / "set", 3, 999);
  EXPECT_EQ(earlier(""), "");
}

TEST_F(EarlierShardsRun, DamagedOnesAreLeftAlone) {
  const Cache cache(dir_ / "cache");
  const std::string before = prepare_as_before(cache);
  const auto shard = cache.folder("prepare", before) / "shard-00000.h5";
  fs::permissions(shard, fs::perms::owner_write, fs::perm_options::add);
  {
    std::fstream out(shard, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-1000, std::ios::end);
    out << "damage";
  }
  EXPECT_TRUE(taken(run_after(cache, "a"), 39, 1)) << "the clip of the damage";
}

/// The golden shards of version 1, as the clips of a listing.
TEST(EarlierShards, OfTheGoldenFile) {
  std::vector<Listing> sets(1);
  sets[0].splits = {{"train", "train"}, {"test", "test"}};
  std::vector<Clip> clips(4);
  const char* ids[] = {"-dash", "caf\xC3\xA9", "new", "third"};
  for (size_t i = 0; i < clips.size(); ++i) {
    clips[i].id = ids[i];
    clips[i].split = i == 3 ? 1 : 0;
    clips[i].fold = static_cast<int16_t>(i == 3 ? 3 : i + 1);
    clips[i].source = FileSource{i == 1 ? "a.au" : "a.wav"};
  }
  std::vector<Listed> listed;
  for (const Clip& clip : clips) listed.push_back({&clip, 0});
  const fs::path golden = xp::testing::source_dir() / "tests/fixtures/prepared_v1";
  const EarlierShards earlier(golden, listed, sets);
  const ShardReader shards(golden);
  for (const auto& [clip, row] : {std::pair<size_t, int64_t>{0, 0}, {3, 2}}) {
    const auto taken = earlier.take(clip, ShardStore::kPcm16);
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->record.checksum, shards.checksum(row));
    EXPECT_EQ(static_cast<int64_t>(taken->record.samples), shards.samples(row));
    EXPECT_EQ(taken->record.source_s, shards.source_seconds(row));
    EXPECT_EQ(taken->record.scale, 1.0F);
  }
  EXPECT_FALSE(earlier.take(1, ShardStore::kPcm16)) << "a file that was not listed then";
  EXPECT_FALSE(earlier.take(2, ShardStore::kPcm16)) << "not in the shards";
}

}  // namespace
}  // namespace xp::data
