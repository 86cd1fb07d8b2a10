#include "core/graph/inputs.h"

#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/graph/input_scan.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using xp::testing::put;
using xp::testing::TempDir;

// Files that have not been touched for a while, as they lie in a data set. Only the time of the
// content can be set back, so a file is read once more after this; `settle` waits until the memory
// trusts them.
class Inputs : public ::testing::Test {
 protected:
  Inputs() : memory_(dir_ / "memory"), root_(dir_ / "set") {
    put(root_ / "meta.csv", "id,fold\n");
    for (int i = 0; i < 20; ++i)
      put(root_ / "audio" / ("clip" + std::to_string(i) + ".wav"), std::string(i, 'x'));
  }
  InputDigest digest() { return InputDigests(memory_).tree(root_); }
  std::string difference(const std::string& from, const std::string& to) {
    return InputDigests(memory_).difference(root_, from, to);
  }

  TempDir dir_;
  fs::path memory_;
  fs::path root_;
};

TEST_F(Inputs, CountsAndIsStable) {
  const InputDigest first = digest();
  EXPECT_EQ(first.files, 21U);
  EXPECT_EQ(first.bytes, 190U + 8U);
  EXPECT_EQ(first.hashed, 21U);
  EXPECT_EQ(first.digest.size(), 64U);
  EXPECT_EQ(digest().digest, first.digest);
}

TEST_F(Inputs, SaysWhatHappened) {
  struct Case {
    const char* name;
    void (*change)(const fs::path& root);
    const char* want;
  };
  const Case cases[] = {
      {"changed, same size", [](const fs::path& root) { put(root / "audio/clip3.wav", "xxy"); },
       "audio/clip3.wav changed"},
      {"removed", [](const fs::path& root) { fs::remove(root / "audio/clip3.wav"); },
       "audio/clip3.wav removed"},
      {"added", [](const fs::path& root) { put(root / "audio/new.wav", "new"); },
       "audio/new.wav added"},
      {"added below", [](const fs::path& root) { put(root / "more/deep/new.wav", "new"); },
       "more/deep/new.wav added"},
      {"renamed", [](const fs::path& root) { fs::rename(root / "meta.csv", root / "meta2.csv"); },
       "meta2.csv added, meta.csv removed"},
      {"all gone", [](const fs::path& root) { fs::remove_all(root / "audio"); }, " and 17 more"},
      {"times set back",
       [](const fs::path& root) {
         const auto time = fs::last_write_time(root / "meta.csv");
         put(root / "meta.csv", "id,FOLD\n");
         fs::last_write_time(root / "meta.csv", time);
       },
       "meta.csv changed"},
      {"replaced by another file of the same size and time",
       [](const fs::path& root) {
         const auto time = fs::last_write_time(root / "meta.csv");
         put(root / ".other", "id,FOLD\n");
         fs::last_write_time(root / ".other", time);
         fs::rename(root / ".other", root / "meta.csv");
       },
       "meta.csv changed"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const TempDir dir;
    const fs::path root = dir / "set";
    fs::copy(root_, root, fs::copy_options::recursive);
    InputDigests digests(dir / "memory");
    const std::string before = digests.tree(root).digest;
    c.change(root);
    const std::string after = digests.tree(root).digest;
    EXPECT_NE(before, after);
    EXPECT_NE(digests.difference(root, before, after).find(c.want), std::string::npos)
        << digests.difference(root, before, after);
  }
}

TEST_F(Inputs, WhatChangesNothing) {
  const std::string before = digest().digest;
  put(root_ / ".hidden", "x");
  fs::create_directory(root_ / "empty");
  EXPECT_EQ(digest().digest, before);
  ::utimensat(AT_FDCWD, (root_ / "meta.csv").c_str(), nullptr, 0);  // touched
  EXPECT_EQ(digest().digest, before);
  // Another place and another order of making.
  const fs::path copy = dir_ / "copy";
  fs::create_directories(copy / "audio");
  for (int i = 19; i >= 0; --i) {
    const std::string name = "clip" + std::to_string(i) + ".wav";
    fs::copy_file(root_ / "audio" / name, copy / "audio" / name);
  }
  fs::copy_file(root_ / "meta.csv", copy / "meta.csv");
  EXPECT_EQ(InputDigests(memory_).tree(copy).digest, before);
}

Counted wavs() {
  return {"wavs", [](std::string_view file) { return file.ends_with(".wav"); }};
}

TEST_F(Inputs, WhatDoesNotCountIsNotLookedInto) {
  const Counted counted = wavs();
  const auto digest_of = [&] { return InputDigests(memory_).tree(root_, {}, nullptr, &counted); };
  const InputDigest before = digest_of();
  EXPECT_EQ(before.files, 20U);
  EXPECT_NE(before.digest, digest().digest);
  put(root_ / "meta.csv", "another");
  put(root_ / "README.md", "text");
  put(root_ / "audio/report.html", "text");
  fs::create_symlink("loop", root_ / "loop");  // one that cannot be read
  EXPECT_EQ(digest_of().digest, before.digest);
  put(root_ / "audio/new.wav", "y");
  const InputDigest after = digest_of();
  EXPECT_NE(after.digest, before.digest);
  EXPECT_EQ(difference(before.digest, after.digest), "audio/new.wav added");
  // The same files elsewhere, where all of them count.
  const fs::path copy = dir_ / "copy";
  fs::create_directories(copy);
  fs::copy(root_ / "audio", copy / "audio", fs::copy_options::recursive);
  fs::remove(copy / "audio/report.html");
  EXPECT_EQ(InputDigests(memory_).tree(copy).digest, after.digest);
}

/// The memory of a program whose keys were of all files, and the other way round.
TEST_F(Inputs, WhatIsKnownOfAllFilesIsKnownOfThoseThatCount) {
  const Counted counted = wavs();
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // until the memory trusts them
  const std::string all = digest().digest;
  InputDigests inputs(memory_);
  const std::string remembered = inputs.last_known(root_, &counted);
  const InputDigest part = inputs.tree(root_, {}, nullptr, &counted);
  EXPECT_EQ(part.hashed, 0U);
  EXPECT_EQ(part.digest, remembered);
  EXPECT_EQ(inputs.last_known(root_, &counted), part.digest);
  fs::remove_all(memory_);
  EXPECT_EQ(inputs.tree(root_, {}, nullptr, &counted).hashed, 20U);
  const InputDigest again = inputs.tree_of_all(root_, counted);
  EXPECT_EQ(again.hashed, 1U);
  EXPECT_EQ(again.digest, all);
}

TEST_F(Inputs, DifferencesAreChained) {
  const std::string a = digest().digest;
  put(root_ / "one.wav", "1");
  const std::string b = digest().digest;
  put(root_ / "two.wav", "2");
  const std::string c = digest().digest;
  EXPECT_EQ(difference(a, b), "one.wav added");
  EXPECT_EQ(difference(a, c), "one.wav added, then two.wav added");
  EXPECT_EQ(difference(c, a), "");
  EXPECT_EQ(difference("unknown", c), "");
}

TEST_F(Inputs, LinksAreFollowedAndLoopsEnd) {
  const std::string before = digest().digest;
  fs::create_symlink("..", root_ / "audio" / "up");
  EXPECT_EQ(digest().digest, before);
  fs::create_symlink("nowhere", root_ / "dangling");
  EXPECT_EQ(digest().digest, before);
  put(dir_ / "far.wav", "far");
  fs::create_symlink(dir_ / "far.wav", root_ / "far.wav");
  EXPECT_NE(digest().digest, before);
}

TEST_F(Inputs, OneFile) {
  InputDigests digests(memory_);
  const fs::path file = root_ / "meta.csv";
  const std::string before = digests.tree(file).digest;
  fs::copy_file(file, dir_ / "elsewhere.csv");
  EXPECT_EQ(digests.tree(dir_ / "elsewhere.csv").digest, before);
  put(file, "id,FOLD\n");
  const std::string after = digests.tree(file).digest;
  EXPECT_NE(after, before);
  EXPECT_EQ(digests.difference(file, before, after), "content changed");
}

// A list is parsed once; after that the memory knows what it names, and what of it is absent.
TEST_F(Inputs, ListOfFiles) {
  InputDigests digests(memory_);
  std::vector<fs::path> files = {root_ / "audio/clip1.wav", root_ / "audio/clip2.wav",
                                 root_ / "absent.wav"};
  int parsed = 0;
  const auto look = [&](const std::string& source) {
    return digests.list(dir_ / "train.json", source, [&] {
      ++parsed;
      return files;
    });
  };
  const auto difference = [&](const InputDigest& from, const InputDigest& to) {
    return digests.difference(dir_ / "train.json" / "list", from.digest, to.digest);
  };
  const InputDigest before = look("first");
  EXPECT_EQ(before.files, 2U);
  EXPECT_EQ(look("first").digest, before.digest);
  EXPECT_EQ(parsed, 1);
  put(root_ / "absent.wav", "here now");
  const InputDigest after = look("first");
  EXPECT_EQ(after.files, 3U);
  EXPECT_EQ(difference(before, after), (root_ / "absent.wav").string() + " added");
  fs::remove(root_ / "audio/clip1.wav");
  const InputDigest fewer = look("first");
  EXPECT_EQ(fewer.files, 2U);
  EXPECT_EQ(difference(after, fewer), (root_ / "audio/clip1.wav").string() + " removed");
  EXPECT_EQ(parsed, 1);

  files.push_back(root_ / "meta.csv");
  const InputDigest longer = look("second");
  EXPECT_EQ(parsed, 2);
  EXPECT_EQ(difference(fewer, longer), (root_ / "meta.csv").string() + " added");
  // Another text of the list that names the same files.
  EXPECT_EQ(look("third").digest, longer.digest);
  EXPECT_EQ(look("third").digest, longer.digest);
  EXPECT_EQ(parsed, 3);
}

TEST_F(Inputs, AbsentRoot) {
  try {
    InputDigests(memory_).tree(dir_ / "nothing");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "cannot read " + (dir_ / "nothing").string() + ": No such file or directory");
    EXPECT_EQ(error.code(), Exit::kData);
  }
}

TEST_F(Inputs, DamagedMemoryCostsTimeOnly) {
  const std::string before = digest().digest;
  for (const auto& entry : fs::directory_iterator(memory_)) {
    const auto size = fs::file_size(entry);
    for (const uint64_t cut : {size / 2, uint64_t{7}, uint64_t{0}}) {
      fs::resize_file(entry, cut);
      EXPECT_EQ(digest().digest, before);
    }
    std::ofstream(entry.path()) << std::string(4096, '\xff');
    EXPECT_EQ(digest().digest, before);
  }
}

// Files that were left alone for more than a tick of the clock are not read again.
TEST_F(Inputs, UnchangedIsNotReadAgainIntegration) {
  digest();
  ::sleep(3);
  EXPECT_EQ(digest().hashed, 21U) << "hashed within a tick of their last change";
  EXPECT_EQ(digest().hashed, 0U);
  put(root_ / "audio/clip7.wav", "1234567");
  const InputDigest after = digest();
  EXPECT_EQ(after.hashed, 1U);
  EXPECT_EQ(after.files, 21U);
  EXPECT_EQ(after.digest, InputDigests(dir_ / "fresh").tree(root_).digest)
      << "what was not read again is still in it";
}

// Whatever happens to the files, memory or not gives the same digest. The files are made older than
// a tick, so that most are taken from the memory.
TEST_F(Inputs, MemoryAgreesWithFreshReadingIntegration) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  digest();
  ::sleep(3);
  digest();
  uint64_t hashed = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = pick(3); i >= 0; --i) {
      const fs::path file = root_ / "audio" / ("clip" + std::to_string(pick(40)) + ".wav");
      if (pick(3) == 0) {
        fs::remove(file);
      } else {
        put(file, std::to_string(pick(1000)));
      }
    }
    const InputDigest now = digest();
    hashed += now.hashed;
    EXPECT_EQ(now.digest,
              InputDigests(dir_ / ("fresh" + std::to_string(round))).tree(root_).digest);
  }
  EXPECT_LT(hashed, 40U * 20U) << "nothing was taken from the memory";
}

TEST_F(Inputs, ProgressMayStop) {
  EXPECT_THROW(InputDigests(memory_).tree(root_, [](uint64_t, uint64_t) { throw Error("stop"); }),
               Error);
}

}  // namespace
}  // namespace xp::graph
