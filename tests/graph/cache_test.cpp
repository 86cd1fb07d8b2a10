#include "core/graph/cache.h"

#include <fstream>
#include <string>
#include <thread>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using xp::testing::put;
using xp::testing::TempDir;

Wanted wanted(Resume resume = Resume::kAtomic) {
  Wanted out;
  out.kind = "train";
  out.version = 1;
  out.resume = resume;
  out.options = "kd.lambda = 0.1\n";
  out.key = stage_key(out.kind, out.version, out.options, {});
  out.stage = "student";
  return out;
}

std::optional<Claim> claim(const Cache& cache, const Wanted& what, bool force = false,
                           std::string* damaged = nullptr) {
  return cache.claim(
      what, force, [](const Holder&) { return true; },
      [damaged](const std::string& text) {
        if (damaged != nullptr) *damaged = text;
      });
}

Manifest make(const Cache& cache, const std::string& content, Resume resume = Resume::kAtomic) {
  auto held = claim(cache, wanted(resume));
  EXPECT_EQ(held->finished(), nullptr);
  put(held->output() / "out.txt", content);
  return held->publish({{"mAP", 0.5}}, 2.0);
}

TEST(Cache, PublishesAndFinds) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  EXPECT_FALSE(cache.find("train", wanted().key));
  const Manifest made = make(cache, "hello");
  const auto found = cache.find("train", made.key);
  ASSERT_TRUE(found);
  EXPECT_EQ(manifest_text(*found), manifest_text(made));
  EXPECT_EQ(found->stage, "student");
  EXPECT_EQ(found->metrics.at("mAP"), 0.5);
  EXPECT_EQ(found->seconds, 2.0);
  ASSERT_EQ(found->files.size(), 1U);
  EXPECT_EQ(found->files[0].path, "out.txt");
  EXPECT_EQ(cache.damage(*found, true), "");
  const auto again = claim(cache, wanted());
  ASSERT_NE(again->finished(), nullptr);
  EXPECT_EQ(again->output(), cache.folder("train", made.key));
}

TEST(Cache, KeyKnowsWhatCounts) {
  InputRecord input;
  input.role = "data";
  input.part = "output";
  input.key = "abc";
  const std::string key = stage_key("train", 1, "a = 1\n", {input});
  EXPECT_EQ(key.size(), 32U);
  InputRecord elsewhere = input;
  elsewhere.path = "/another/place";
  elsewhere.stage = "another_name";
  EXPECT_EQ(stage_key("train", 1, "a = 1\n", {elsewhere}), key);
  EXPECT_NE(stage_key("teach", 1, "a = 1\n", {input}), key);
  EXPECT_NE(stage_key("train", 2, "a = 1\n", {input}), key);
  EXPECT_NE(stage_key("train", 1, "a = 2\n", {input}), key);
  EXPECT_NE(stage_key("train", 1, "a = 1\n", {}), key);
  InputRecord other = input;
  other.part = "best";
  EXPECT_NE(stage_key("train", 1, "a = 1\n", {other}), key);
}

TEST(Cache, AbandonedWorkIsRemovedOrKept) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  {
    const auto held = claim(cache, wanted());
    put(held->output() / "half.txt", "half");
  }
  EXPECT_FALSE(cache.find("train", wanted().key));
  {
    const auto again = claim(cache, wanted());
    EXPECT_FALSE(again->resumed());
    EXPECT_TRUE(fs::is_empty(again->output()));
  }
  const Wanted resumes = wanted(Resume::kResumes);
  {
    auto held = claim(cache, resumes);
    EXPECT_FALSE(held->resumed());
    put(held->output() / "half.txt", "half");
    held->abandon(3.0);
  }
  EXPECT_TRUE(cache.has_partial("train", resumes.key));
  auto next = claim(cache, resumes);
  EXPECT_TRUE(next->resumed());
  EXPECT_EQ(next->earlier_seconds(), 3.0);
  EXPECT_EQ(read_file(next->output() / "half.txt"), "half");
  EXPECT_EQ(next->publish({}, 4.0).seconds, 7.0);
  EXPECT_FALSE(cache.has_partial("train", resumes.key));
}

TEST(Cache, ForceMakesAnew) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  make(cache, "old");
  auto held = claim(cache, wanted(), true);
  ASSERT_EQ(held->finished(), nullptr);
  EXPECT_EQ(read_file(cache.folder("train", wanted().key) / "out.txt"), "old")
      << "the old one stays meanwhile";
  put(held->output() / "out.txt", "new");
  held->publish({}, 1);
  EXPECT_EQ(read_file(cache.folder("train", wanted().key) / "out.txt"), "new");
}

TEST(Cache, DamageIsFoundNamedAndSetAside) {
  struct Case {
    const char* name;
    void (*harm)(const fs::path& folder);
    const char* want;
  };
  const Case cases[] = {
      {"a byte flipped, times kept",
       [](const fs::path& folder) {
         const auto time = fs::last_write_time(folder / "out.txt");
         put(folder / "out.txt", "hellO");
         fs::last_write_time(folder / "out.txt", time);
       },
       "out.txt: its content does not match its digest"},
      {"cut off", [](const fs::path& folder) { fs::resize_file(folder / "out.txt", 2); },
       "out.txt has 2 bytes, its manifest says 5"},
      {"gone", [](const fs::path& folder) { fs::remove(folder / "out.txt"); },
       "out.txt is missing"},
      {"manifest is no manifest",
       [](const fs::path& folder) { put(folder / "manifest.json", "{\"format\": 1"); },
       "its manifest cannot be read"},
      {"manifest is gone", [](const fs::path& folder) { fs::remove(folder / "manifest.json"); },
       "its manifest cannot be read"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const TempDir dir;
    const Cache cache(dir / "cache");
    make(cache, "hello");
    c.harm(cache.folder("train", wanted().key));
    std::string said;
    auto held = claim(cache, wanted(), false, &said);
    EXPECT_EQ(said, c.want);
    ASSERT_EQ(held->finished(), nullptr);
    put(held->output() / "out.txt", "hello");
    held->publish({}, 1);
    EXPECT_EQ(cache.damage(*cache.find("train", wanted().key), true), "");
  }
}

TEST(Cache, WaitsForTheHolderAndReuses) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  Wanted first = wanted();
  first.run = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  auto held = cache.claim(
      first, false, [](const Holder&) { return true; }, [](const std::string&) {});
  std::string waited_for;
  std::thread second([&] {
    const auto other = cache.claim(
        wanted(), false,
        [&](const Holder& holder) {
          waited_for = holder_text(holder);
          return true;
        },
        [](const std::string&) {});
    ASSERT_NE(other->finished(), nullptr);
    EXPECT_EQ(read_file(other->output() / "out.txt"), "made once");
  });
  while (waited_for.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  put(held->output() / "out.txt", "made once");
  held->publish({}, 1);
  second.join();
  EXPECT_TRUE(waited_for.starts_with("run 01ARZ3NDEKTSV4RRFFQ69G5FAV, stage student, process " +
                                     std::to_string(::getpid()) + " on host "))
      << waited_for;
}

TEST(Cache, WaitingCanBeStopped) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const auto held = claim(cache, wanted());
  EXPECT_FALSE(cache.claim(
      wanted(), false, [](const Holder&) { return false; }, [](const std::string&) {}));
}

TEST(Cache, LeftoversOfTheDeadAreRemoved) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const std::string key = wanted().key;
  fs::create_directories(dir / "cache" / "train" / (key + ".tmp-DEAD"));
  put(dir / "cache" / "train" / (key + ".lock"), "");
  make(cache, "hello");
  EXPECT_FALSE(fs::exists(dir / "cache" / "train" / (key + ".tmp-DEAD")));
}

// `rm *.lock` under a running training: two processes must not write one folder.
TEST(Cache, ALockThatIsRemovedIsTakenAgainOrTheHolderStops) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Wanted what = wanted(Resume::kResumes);
  auto first = claim(cache, what);
  put(first->output() / "half.txt", "first");
  fs::remove(cache.lock_file(what.kind, what.key));
  first->keep();
  EXPECT_FALSE(FileLock::try_acquire(cache.lock_file(what.kind, what.key))) << "not taken again";

  fs::remove(cache.lock_file(what.kind, what.key));
  auto second = claim(cache, what);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->resumed());
  try {
    first->publish({}, 1.0);
    ADD_FAILURE() << "both hold it";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("was removed while this process held it"), std::string::npos);
  }
  first.reset();
  EXPECT_EQ(read_file(second->output() / "half.txt"), "first");
  second->publish({}, 1.0);
  EXPECT_TRUE(cache.find(what.kind, what.key));
}

TEST(Cache, ClockSetBackHarmsNothing) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  Manifest made = make(cache, "hello");
  made.created_ns += int64_t{3600} * 24 * 365 * 1'000'000'000;  // made a year from now
  put(cache.folder("train", made.key) / "manifest.json", manifest_text(made));
  fs::last_write_time(cache.folder("train", made.key) / "out.txt",
                      fs::file_time_type::clock::now() + std::chrono::hours(24 * 365));
  const auto found = claim(cache, wanted());
  ASSERT_NE(found->finished(), nullptr);
  Holder holder;
  holder.run = "R";
  holder.since_ns = made.created_ns;
  EXPECT_EQ(holder_text(holder), "run R, since 0 ms");
}

// As another user where the tests run as root, since root may write anywhere.
TEST(Cache, FolderWithoutPermission) {
  const TempDir dir;
  fs::permissions(dir.path(),
                  fs::perms::owner_all | fs::perms::others_exec | fs::perms::others_read);
  fs::create_directory(dir / "cache");
  fs::permissions(dir / "cache", fs::perms::owner_read | fs::perms::owner_exec |
                                     fs::perms::others_read | fs::perms::others_exec);
  const fs::path out = dir / "said.txt";
  put(out, "");
  fs::permissions(out, fs::perms::all);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "nothing thrown";
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(2);
    try {
      claim(Cache(dir / "cache"), wanted());
    } catch (const Error& error) {
      said = error.message();
    }
    put(out, said);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(
      read_file(out),
      "cannot make the cache folder " + (dir / "cache" / "train").string() +
          ": Permission denied; check its permissions, or choose another folder with EXP_CACHE");
  fs::permissions(dir / "cache", fs::perms::owner_all);
}

TEST(Manifest, RefusesWhatItCannotRead) {
  EXPECT_THROW(parse_manifest("", "m.json"), Error);
  EXPECT_THROW(parse_manifest("[]", "m.json"), Error);
  try {
    parse_manifest(R"({"format": 9})", "m.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "m.json: manifest of format 9, this exp reads 1");
  }
}

TEST(Manifest, KnowsThatItWasEdited) {
  Manifest manifest;
  manifest.kind = "evaluate";
  manifest.stage = "eval \xff";  // no UTF-8
  manifest.metrics = {{"acc", 0.5}, {"loss", 0.1}};
  manifest.created_ns = 1790000000123456789;
  const std::string text = manifest_text(manifest);
  EXPECT_EQ(parse_manifest(text, "m.json").metrics, manifest.metrics);
  std::string edited = text;
  edited.replace(edited.find("\"acc\": 0.5"), 10, "\"acc\": 0.9");
  try {
    parse_manifest(edited, "m.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "m.json: it was changed after it was made: it does not match its own digest");
    EXPECT_EQ(error.code(), Exit::kData);
  }
  // Laid out otherwise it says the same; without a digest it is of an earlier exp.
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(text);
  EXPECT_EQ(parse_manifest(json.dump(), "m.json").metrics, manifest.metrics);
  json.erase("digest");
  EXPECT_EQ(parse_manifest(json.dump(), "m.json").metrics, manifest.metrics);
}

TEST(Manifest, AnEditedOneIsNoResult) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  Wanted wanted;
  wanted.kind = "evaluate";
  wanted.key = std::string(32, 'a');
  const auto never = [](const Holder&) { return false; };
  std::string damage;
  const auto damaged = [&damage](const std::string& what) { damage = what; };
  {
    auto claim = cache.claim(wanted, false, never, damaged);
    ASSERT_TRUE(claim);
    put(claim->output() / "metrics.json", "{}");
    claim->publish({{"acc", 0.5}}, 1);
  }
  ASSERT_TRUE(cache.find("evaluate", wanted.key));
  const fs::path file = cache.folder("evaluate", wanted.key) / "manifest.json";
  std::string text = read_file(file);
  text.replace(text.find("\"acc\": 0.5"), 10, "\"acc\": 0.9");
  put(file, text);
  EXPECT_FALSE(cache.find("evaluate", wanted.key));
  const auto claim = cache.claim(wanted, false, never, damaged);
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->finished(), nullptr) << "it is made again";
  EXPECT_EQ(damage, "its manifest cannot be read");
}

TEST(Manifest, NanMetricReadsAsAbsent) {
  Manifest manifest;
  manifest.metrics = {{"loss", 1.0}, {"mAP", std::numeric_limits<double>::quiet_NaN()}};
  const Manifest back = parse_manifest(manifest_text(manifest), "m.json");
  EXPECT_EQ(back.metrics, (std::map<std::string, double>{{"loss", 1.0}}));
}

}  // namespace
}  // namespace xp::graph
