#include "data/prepare.h"

#include <cmath>
#include <fstream>
#include <map>
#include <optional>

#include <sys/mount.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/rng.h"
#include "data/csv.h"
#include "data/decode.h"
#include "data/export.h"
#include "data/journal.h"
#include "tests/data/faults.h"
#include "tests/data/prepared.h"
#include "tests/testing/kill_at.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::content;
using testing::message_of;
using testing::prepare_to;
using testing::synthetic;
using xp::testing::Attempt;
using xp::testing::kill_at;
using xp::testing::TempDir;

/// A set that makes several shards.
schema::PrepareOptions several_shards(int64_t clips = 120) {
  schema::PrepareOptions options;
  options.dataset = synthetic(clips, 1.0);
  options.dataset.shard_mb = 1;  // 31 clips of one second
  return options;
}

PrepareJob job_in(const fs::path& folder, int threads = 2) {
  fs::create_directories(folder);
  PrepareJob job;
  job.output = folder;
  job.threads = threads;
  return job;
}

TEST(Prepare, SameBytesWhateverTheThreads) {
  const TempDir folder;
  prepare(several_shards(), job_in(folder / "a", 1));
  prepare(several_shards(), job_in(folder / "b", 4));
  const auto a = content(folder / "a");
  EXPECT_EQ(a, content(folder / "b"));
  EXPECT_EQ(a.size(), 4U + 2U);  // shards, index, report
}

TEST(Prepare, StopsOnRequestAndGoesOn) {
  const TempDir folder;
  prepare(several_shards(), job_in(folder / "whole"));
  PrepareJob job = job_in(folder / "parts");
  int stops = 0;
  PrepareResult result;
  do {
    int asked = 0;
    job.stop_requested = [&] { return ++asked > 25; };
    result = prepare(several_shards(), job);
    ++stops;
  } while (result.stopped && stops < 20);
  EXPECT_FALSE(result.stopped);
  EXPECT_GT(stops, 3);
  EXPECT_GT(result.reused, 90);
  EXPECT_EQ(content(folder / "whole"), content(folder / "parts"));
}

TEST(Prepare, OtherOptionsStartOver) {
  const TempDir folder;
  PrepareJob job = job_in(folder / "x");
  int asked = 0;
  job.stop_requested = [&] { return ++asked > 40; };
  EXPECT_TRUE(prepare(several_shards(), job).stopped);
  job.stop_requested = [] { return false; };
  const auto options = several_shards(70);
  EXPECT_EQ(prepare(options, job).reused, 0);
  prepare(options, job_in(folder / "y"));
  EXPECT_EQ(content(folder / "x"), content(folder / "y"));
}

TEST(Prepare, AFewClipsOfEachSplit) {
  const TempDir folder;
  PrepareJob job = job_in(folder / "few");
  job.clips_of_each = 3;
  EXPECT_EQ(prepare(several_shards(), job).clips, 3 * 5);  // five folds
  job = job_in(folder / "all");
  job.clips_of_each = 1000;
  EXPECT_EQ(prepare(several_shards(), job).clips, 120);
}

TEST(Prepare, FlacHoldsTheSameSamples) {
  const TempDir folder;
  auto options = synthetic(20, 0.5);
  const auto pcm = prepare_to(folder / "pcm", options);
  options.store = schema::Store::kFlac;
  const auto flac = prepare_to(folder / "flac", options);
  for (int64_t row = 0; row < pcm->clips(); ++row) {
    std::vector<int16_t> a(static_cast<size_t>(pcm->samples(row)));
    std::vector<int16_t> b(a.size());
    pcm->read(row, a);
    flac->read(row, b);
    EXPECT_EQ(a, b);
  }
  EXPECT_LT(fs::file_size(folder / "flac/shard-00000.h5"),
            fs::file_size(folder / "pcm/shard-00000.h5"));
}

/// A folder set of `good` clips of half a second and some files that are no sound.
fs::path mixed_folder(const TempDir& folder, int good, int bad) {
  const fs::path root = folder / "set";
  for (const char* name : {"train/a", "test/a"}) fs::create_directories(root / name);
  std::string wav(
      "RIFF\xA4\x3E\0\0WAVEfmt "
      "\x10\0\0\0\x01\0\x01\0\x80\x3E\0\0\0\x7D\0\0\x02\0\x10\0data\x80\x3E\0\0",
      44);
  wav += std::string(0x3E80, '\x01');
  for (int i = 0; i < good; ++i)
    std::ofstream(root / "train/a" / (std::to_string(i) + ".wav"), std::ios::binary) << wav;
  for (int i = 0; i < bad; ++i)
    std::ofstream(root / "test/a" / ("bad,\"" + std::to_string(i) + "\".wav")) << "no sound";
  std::ofstream(root / "test/a/good.wav", std::ios::binary) << wav;
  return root;
}

TEST(Prepare, BadClipsAreReportedAndLimited) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  options.dataset.root = mixed_folder(folder, 17, 2).string();
  const std::string report_file = (folder / "out/report.csv").string();
  EXPECT_EQ(
      message_of([&] { prepare(options, job_in(folder / "out")); }),
      "2 of 20 clips cannot be used (0 absent, 2 bad), more than dataset.max_bad_p = 0.01 allows:\n"
      "  a/bad,\"0\".wav: cannot be decoded: Format not recognised.\n"
      "  a/bad,\"1\".wav: cannot be decoded: Format not recognised.\nall of them are named in " +
          report_file);
  const std::string all_named = read_file(report_file);
  options.dataset.max_bad_p = 0.1;
  const PrepareResult result = prepare(options, job_in(folder / "out"));
  EXPECT_EQ(result.clips, 18);
  EXPECT_EQ(result.bad, 2);
  const std::string text = read_file(report_file);
  EXPECT_EQ(text, all_named);
  CsvReader report(report_file, text);
  const auto columns = report.header({"set", "id", "split", "source", "reason"});
  CsvRow row;
  int rows = 0;
  while (report.next(row)) {
    EXPECT_EQ(report.at(row, columns[1]), "a/bad,\"" + std::to_string(rows) + "\".wav");
    EXPECT_EQ(report.at(row, columns[2]), "test");
    EXPECT_EQ(report.at(row, columns[4]), "cannot be decoded: Format not recognised.");
    ++rows;
  }
  EXPECT_EQ(rows, 2);
  options.dataset.on_bad_clip = schema::OnBadClip::kError;
  EXPECT_EQ(message_of([&] { prepare(options, job_in(folder / "strict")); }),
            "clip 'a/bad,\"0\".wav' (" + options.dataset.root +
                "/test/a/bad,\"0\".wav): cannot be decoded: Format not recognised.\nwith "
                "dataset.on_bad_clip = \"skip\" it would be left out");
}

/// Of less than a hundred clips one is more than a hundredth; "skip" leaves it out all the same.
TEST(Prepare, OneBadClipOfAFewIsSkipped) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  options.dataset.root = mixed_folder(folder, 3, 1).string();
  const PrepareResult result = prepare(options, job_in(folder / "out"));
  EXPECT_EQ(result.clips, 4);
  EXPECT_EQ(result.bad, 1);
  options.dataset.max_bad_p = 0;
  EXPECT_TRUE(message_of([&] {
                prepare(options, job_in(folder / "none"));
              }).starts_with("1 of 5 clips cannot be used (0 absent, 1 bad), more than "));
}

/// Samples above full scale: nothing is cut off, what lies within is stored as ever.
TEST(Prepare, ClipsAboveFullScaleAreKeptWhole) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  options.dataset.root = (folder / "set").string();
  fs::create_directories(folder / "set/train/a");
  Rng rng(1, "noise");
  std::vector<float> quiet(8000);
  for (float& x : quiet) x = static_cast<float>(rng.uniform() * 2 - 1);
  quiet[5] = 1.0F;  // full scale itself lies within
  write_wav(folder / "set/train/a/quiet.wav", quiet, 16000);
  for (const auto store : {schema::Store::kPcm16, schema::Store::kFlac}) {
    options.dataset.store = store;
    const fs::path out = folder / fmt::format("out{}", static_cast<int>(store));
    fs::remove(folder / "set/train/a/loud.wav");
    prepare(options, job_in(out / "without"));
    EXPECT_NE(read_file(out / "without/index.json").find("\"version\": 1"), std::string::npos)
        << "no clip needs a scale: older programs read it";
    std::vector<float> loud = quiet;
    for (float& x : loud) x *= 3;
    write_wav(folder / "set/train/a/loud.wav", loud, 16000);
    PrepareJob job = job_in(out / "with");
    std::string said;
    job.say = [&](std::string_view line) { said += std::string(line) + "\n"; };
    const PrepareResult result = prepare(options, job);
    EXPECT_EQ(result.above, 1);
    EXPECT_NEAR(result.above_db, 20 * std::log10(3.0), 1e-3);
    EXPECT_NE(said.find("1 of 2 clips go above full scale, by up to 9.54 dB"), std::string::npos)
        << said;
    EXPECT_NE(read_file(job.output / "report.csv").find("9.54 dB above full scale"),
              std::string::npos);

    const ShardReader before(out / "without"), shards(job.output);
    std::vector<int16_t> pcm(8000), pcm_before(8000);
    before.read(0, pcm_before);
    shards.read(1, pcm);
    EXPECT_EQ(shards.scale(1), 1.0F);
    EXPECT_EQ(pcm, pcm_before);
    std::vector<float> wave(8000);
    shards.read(0, wave);
    std::vector<float> stored = loud;
    round_as_stored(stored);
    EXPECT_EQ(wave, stored) << "what exp predict hears is what evaluate does";
    for (size_t i = 0; i < loud.size(); ++i) ASSERT_NEAR(wave[i], loud[i], 3.01 / 65536) << i;
  }
}

TEST(Prepare, SaysWhatIsLeftOut) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  const fs::path root = mixed_folder(folder, 3, 0);
  for (const char* name : {"train/a/x.m4a", "train/a/y.m4a", "test/a/z.txt"})
    std::ofstream(root / name) << "";
  options.dataset.root = root.string();
  std::vector<std::string> said;
  PrepareJob job = job_in(folder / "out");
  job.say = [&](std::string_view line) { said.emplace_back(line); };
  prepare(options, job);
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said.front(), "folder: left out by their ending: 2 .m4a, 1 .txt");
}

TEST(Prepare, TheReportNamesTheSetOfAClip) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = synthetic(10, 0.2);
  options.dataset.max_bad_p = 0.5;
  auto also = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  also.root = mixed_folder(folder, 2, 1).string();
  options.dataset.also.push_back(also);
  prepare(options, job_in(folder / "out"));
  const std::string report = read_file(folder / "out/report.csv");
  EXPECT_NE(report.find("\nfolder,\"a/bad,\"\"0\"\".wav\",test,"), std::string::npos) << report;
}

TEST(Prepare, LeavesTheTemporaryFilesOfOthers) {
  const TempDir folder;
  PrepareJob job = job_in(folder / "out");
  for (const char* name : {"curves.from.tmp-1", "shard-00000.h5.tmp-1", "plan.tmp-1",
                           "report.csv.tmp-1", "index.json.tmp-1"})
    std::ofstream(job.output / name) << "half";
  prepare(several_shards(40), job);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(job.output)) {
    const std::string name = entry.path().filename().string();
    if (name.find(".tmp-") != std::string::npos) left.push_back(name);
  }
  EXPECT_EQ(left, (std::vector<std::string>{"curves.from.tmp-1"}));
}

/// A speech commands set of `there` clips; `absent` more are listed.
schema::DatasetOptions words_with_absent(const fs::path& root, int there, int absent) {
  fs::create_directories(root / "yes");
  std::ofstream(root / "testing_list.txt") << "";
  std::ofstream list(root / "validation_list.txt");
  for (int i = 0; i < absent; ++i) list << "yes/gone" << i << "_nohash_0.wav\n";
  const std::vector<float> wave(800, 0.1F);
  for (int i = 0; i < there; ++i)
    write_wav(root / "yes" / (std::to_string(i) + "_nohash_0.wav"), wave, 16000);
  auto options = schema::DatasetOptions::of_kind(schema::DatasetName::kSpeechcommands);
  options.root = root.string();
  return options;
}

TEST(Prepare, ASampleIsJudgedByTheWholeSet) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = words_with_absent(folder / "set", 400, 4);
  PrepareJob job = job_in(folder / "check");
  job.clips_of_each = 8;
  std::string said;
  job.say = [&](std::string_view line) { said = line; };
  EXPECT_EQ(prepare(options, job).absent, 4);  // of 404, but more than 1 % of the 8 that are tried
  EXPECT_EQ(said, "speechcommands: 8 clips in 1 shards, 0 bad, 4 absent");
  options.dataset = words_with_absent(folder / "set", 400, 5);
  EXPECT_EQ(message_of([&] { prepare(options, job); }),
            "of 405 clips 5 are absent, and of 8 that were tried 0 are bad: more than "
            "dataset.max_bad_p = 0.01 allows:\n"
            "  yes/gone0_nohash_0.wav: no file yes/gone0_nohash_0.wav\n"
            "  yes/gone1_nohash_0.wav: no file yes/gone1_nohash_0.wav\n"
            "  yes/gone2_nohash_0.wav: no file yes/gone2_nohash_0.wav");
  // The bad ones of the sample stand for those of the set, but for one.
  options.dataset = words_with_absent(folder / "set", 400, 0);
  const auto spoil = [&](int number) {
    std::ofstream(folder / "set/yes" / (std::to_string(number) + "_nohash_0.wav")) << "no sound";
  };
  spoil(0);
  EXPECT_EQ(prepare(options, job).bad, 1);
  for (int i = 0; i < 400; i += 2) spoil(i);
  EXPECT_TRUE(message_of([&] {
                prepare(options, job);
              }).starts_with("of 400 clips 0 are absent, and of 8 that were tried "));
}

TEST(Prepare, NothingButBadClips) {
  const TempDir folder;
  schema::PrepareOptions options;
  options.dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  options.dataset.root = (folder / "set").string();
  options.dataset.max_bad_p = 1;
  fs::create_directories(folder / "set/train/a");
  std::ofstream(folder / "set/train/a/x.wav") << "no sound";
  EXPECT_EQ(
      message_of([&] { prepare(options, job_in(folder / "out")); }),
      "not one of 1 clips could be decoded:\n  a/x.wav: cannot be decoded: Format not recognised.");
}

TEST(Prepare, JoinedSetsKeepTheirOwnSplits) {
  const TempDir folder;
  auto options = synthetic(50, 0.2);
  auto also = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  also.root = mixed_folder(folder, 3, 0).string();
  options.also.push_back(also);
  const auto shards = prepare_to(folder / "out", options);
  EXPECT_EQ(shards->clips(), 54);
  EXPECT_EQ(shards->sets(), 2);
  EXPECT_EQ(shards->classes().size(), 11U);
  EXPECT_EQ(rows_of_split(*shards, options, "train").size(), 40U + 3U);
  EXPECT_EQ(rows_of_split(*shards, options, "test").size(), 10U + 1U);
  options.also[0].train = "none";
  EXPECT_EQ(rows_of_split(*shards, options, "train").size(), 40U);
  options.also[0].train = "balanced";
  EXPECT_EQ(message_of([&] { rows_of_split(*shards, options, "train"); }, Exit::kUsage),
            "dataset.train = \"balanced\": the data set has no such split; it has: test, train");
}

TEST(Prepare, AShareOfTheTrainingClipsHoldsEverySmallerOne) {
  const TempDir folder;
  auto options = synthetic(50, 0.2);
  const auto shards = prepare_to(folder / "out", options);
  const auto rows_of = [&](double share, const char* role) {
    options.train_p = share;
    return rows_of_split(*shards, options, role);
  };
  const auto all = rows_of(1, "train");
  const auto half = rows_of(0.5, "train");
  const auto tenth = rows_of(0.1, "train");
  EXPECT_EQ(all.size(), 40U);
  EXPECT_EQ(half.size(), 20U);
  EXPECT_EQ(tenth.size(), 4U);
  EXPECT_EQ(rows_of(1e-6, "train").size(), 1U);
  EXPECT_TRUE(std::includes(all.begin(), all.end(), half.begin(), half.end()));
  EXPECT_TRUE(std::includes(half.begin(), half.end(), tenth.begin(), tenth.end()));
  EXPECT_NE(half, std::vector<uint32_t>(all.begin(), all.begin() + 20));
  EXPECT_EQ(rows_of(0.1, "test").size(), 10U);
}

TEST(Prepare, JournalKeepsTheLongestGoodPrefix) {
  const TempDir folder;
  const fs::path base = folder / "shard-00000";
  const std::string sound(1000, 'x');
  const auto bytes = std::as_bytes(std::span(sound));
  const ClipRecord good{500, 1000, checksum64(bytes), 0.5, ""};
  {
    ShardJournal journal(base);
    journal.append(good, bytes);
    journal.append({0, 0, 0, 0, "no\nsound"}, {});
    journal.append(good, bytes);
  }
  const std::string lines = read_file(base.string() + ".journal");
  struct Case {
    const char* name;
    std::function<void()> damage;
    size_t kept;
  };
  const auto restore = [&] {
    std::ofstream(base.string() + ".journal", std::ios::binary) << lines;
    std::ofstream(base.string() + ".sound", std::ios::binary) << sound << sound;
  };
  const Case cases[] = {
      {"nothing", [] {}, 3},
      {"torn line", [&] { fs::resize_file(base.string() + ".journal", lines.size() - 5); }, 2},
      {"sound without its line",
       [&] { std::ofstream(base.string() + ".sound", std::ios::app) << "rest"; }, 3},
      {"line without its sound", [&] { fs::resize_file(base.string() + ".sound", 1500); }, 2},
      {"damaged first clip",
       [&] {
         std::fstream out(base.string() + ".sound", std::ios::in | std::ios::out);
         out.seekp(10);
         out.put('y');
       },
       0},
      {"damaged line",
       [&] {
         std::string text = lines;
         text[7] = text[7] == '1' ? '2' : '1';
         std::ofstream(base.string() + ".journal", std::ios::binary) << text;
       },
       0},
      {"no sound at all", [&] { fs::remove(base.string() + ".sound"); }, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    restore();
    c.damage();
    const ShardJournal journal(base);
    ASSERT_EQ(journal.records().size(), c.kept);
    if (c.kept > 1) {
      EXPECT_EQ(journal.records()[1].problem, "no sound");
    }
    uint64_t stored = 0;
    for (const ClipRecord& record : journal.records()) stored += record.bytes;
    EXPECT_EQ(fs::file_size(base.string() + ".sound"), stored);
  }
}

/// `prepare` in a process of its own, killed on its way into call number `fatal`.
std::optional<Attempt> attempt(const schema::PrepareOptions& options, const fs::path& folder,
                               int fatal) {
  const auto result = kill_at(fatal, [&] { prepare(options, job_in(folder)); });
  if (result && !result->killed) {
    EXPECT_EQ(result->code, 0);
  }
  return result;
}

/// Nine clips in three shards.
schema::PrepareOptions three_shards() {
  schema::PrepareOptions options;
  options.dataset = synthetic(9, 8.0);
  options.dataset.shard_mb = 1;
  return options;
}

/// Kills one preparation before every `stride`-th of its calls that change files; what goes on
/// after it must end in the same bytes, and nothing else beside them.
void expect_a_kill_changes_nothing(int first, int stride) {
  const TempDir folder;
  const auto whole = attempt(three_shards(), folder / "whole", 0);
  if (!whole) GTEST_SKIP() << "processes cannot be traced here";
  const auto expected = content(folder / "whole");
  EXPECT_EQ(expected.size(), 3U + 2U);
  ASSERT_GT(whole->calls, 50);
  int killed = 0;
  for (int fatal = first; fatal <= whole->calls; fatal += stride, ++killed) {
    const fs::path out = folder / "killed";
    // What this process did once and its children need not do again makes for a call or two less.
    if (!attempt(three_shards(), out, fatal)->killed) break;
    prepare(three_shards(), job_in(out));
    ASSERT_EQ(expected, content(out)) << "killed before call " << fatal << " of " << whole->calls;
    fs::remove_all(out);
  }
  std::printf("%d of %d calls\n", killed, whole->calls);
  EXPECT_GT(killed, whole->calls * 9 / 10 / stride - 1);
}

TEST(PrepareIntegration, KilledAnywhereItGoesOn) { expect_a_kill_changes_nothing(3, 17); }

TEST(PrepareStress, KilledBeforeEveryCallThatChangesFiles) { expect_a_kill_changes_nothing(1, 1); }

TEST(PrepareStress, FiftyKillsOfOnePreparation) {
  const TempDir folder;
  prepare(several_shards(1500), job_in(folder / "whole"));
  Rng rng(1, "kills");
  for (int kills = 0; kills < 50; ++kills) {
    const auto done =
        attempt(several_shards(1500), folder / "killed", 1 + static_cast<int>(rng.below(50)));
    if (!done) GTEST_SKIP() << "processes cannot be traced here";
    ASSERT_TRUE(done->killed);
  }
  EXPECT_GT(prepare(several_shards(1500), job_in(folder / "killed")).reused, 100);
  EXPECT_EQ(content(folder / "whole"), content(folder / "killed"));
}

TEST(PrepareIntegration, DiskFullIsSaidAndNothingIsLost) {
  const TempDir folder;
  const fs::path disk = folder / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=3m") != 0)
    GTEST_SKIP() << "cannot mount a tmpfs here";
  const std::string message =
      message_of([&] { prepare(several_shards(), job_in(disk / "out")); }, Exit::kFailed);
  EXPECT_NE(message.find("No space left on device"), std::string::npos) << message;
  EXPECT_NE(message.find("free some space and run the same command again"), std::string::npos)
      << message;
  ::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=40m");
  const PrepareResult result = prepare(several_shards(), job_in(disk / "out"));
  EXPECT_GT(result.reused, 30);
  prepare(several_shards(), job_in(folder / "whole"));
  EXPECT_EQ(content(folder / "whole"), content(disk / "out"));
  ::umount2(disk.c_str(), MNT_DETACH);
}

TEST(PrepareIntegration, AudiosetMiniWithItsAwkwardCases) {
  const auto root = xp::testing::env("EXP_DATA");
  if (root.empty()) GTEST_SKIP() << "EXP_DATA is not set";
  const TempDir folder;
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kAudioset);
  dataset.root = std::string(root) + "/audioset_mini";
  dataset.parts = {"balanced_train", "unbalanced_train"};
  const auto shards = prepare_to(folder.path(), dataset);
  EXPECT_EQ(shards->clips(), 749);
  std::map<std::string, int64_t> row_of;
  for (int64_t row = 0; row < shards->clips(); ++row) row_of[std::string(shards->id(row))] = row;
  EXPECT_EQ(shards->samples(row_of.at("0ZK3IHXsS6w")), 100800);  // 6.3 s
  EXPECT_EQ(shards->samples(row_of.at("pH_S5FSG88Y")), 160000);  // stereo at 44.1 kHz
  EXPECT_EQ(row_of.count("6NVjZeHsFQw"), 0U);
  const std::string report = read_file(folder / "report.csv");
  EXPECT_NE(report.find("audioset,6NVjZeHsFQw,unbalanced_train,,no sound file"), std::string::npos)
      << report;
  EXPECT_EQ(rows_of_split(*shards, dataset, "train").size(), 120U + 479U);
  EXPECT_EQ(rows_of_split(*shards, dataset, "test").size(), 150U);
  dataset.train = "balanced_train";
  EXPECT_EQ(rows_of_split(*shards, dataset, "train").size(), 120U);
  EXPECT_EQ(shards->labels().of(row_of.at("0ZK3IHXsS6w")).size(), 2U);
}

}  // namespace
}  // namespace xp::data
