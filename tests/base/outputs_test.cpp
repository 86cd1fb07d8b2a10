// What is written over: only regular files are replaced.
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp {
namespace {

namespace fs = std::filesystem;
using testing::put;
using testing::TempDir;

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Outputs, ALinkStaysAndItsTargetIsReplaced) {
  const TempDir dir;
  const fs::path target = put(dir / "far/target.txt", "old");
  fs::create_symlink("far/target.txt", dir / "near");  // relative, as people write them
  fs::create_symlink(dir / "near", dir / "nearer");
  write_file_atomic(dir / "nearer", "new");
  EXPECT_EQ(read_file(target), "new");
  EXPECT_TRUE(fs::is_symlink(dir / "near") && fs::is_symlink(dir / "nearer"));
  fs::remove(target);
  write_file_atomic(dir / "nearer", "again");
  EXPECT_EQ(read_file(target), "again") << "a link to what is not there yet";
  EXPECT_EQ(entries(dir / "far"), 1U);
  fs::create_symlink("round", dir / "round");
  EXPECT_NE(message_of([&] { write_file_atomic(dir / "round", "x"); }).find("symbolic links"),
            std::string::npos);
  EXPECT_NE(message_of([&] { write_file_atomic(dir / "far", "x"); }).find("directory"),
            std::string::npos);
}

TEST(Outputs, APipeIsWrittenTo) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", dir / "link");
  for (const char* name : {"pipe", "link"}) {
    std::string got;
    std::thread reader([&] {
      std::ifstream in(dir / "pipe");
      got.assign(std::istreambuf_iterator<char>(in), {});
    });
    write_file_atomic(dir / name, "through");
    reader.join();
    EXPECT_EQ(got, "through");
    EXPECT_TRUE(fs::is_fifo(dir / "pipe"));
  }
  EXPECT_EQ(entries(dir.path()), 2U);
}

TEST(Outputs, ADeviceStaysOne) {
  const TempDir dir;
  // Of our own: a fault must not cost this machine its /dev/full.
  const fs::path device = dir / "full";
  if (::mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 7)) != 0)
    GTEST_SKIP() << "no device can be made here";
  if (!std::ofstream(device).is_open()) GTEST_SKIP() << "no devices work in this folder";
  const std::string said = message_of([&] { write_file_atomic(device, "x"); });
  EXPECT_NE(said.find("No space left on device"), std::string::npos) << said;
  EXPECT_TRUE(fs::is_character_file(device));
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(Outputs, WhatIsOpenIsWrittenTo) {
  const TempDir dir;
  const fs::path file = put(dir / "log", "first\n");
  const int fd = ::open(file.c_str(), O_WRONLY);
  ASSERT_GE(fd, 0);
  struct stat before {};
  ::stat(file.c_str(), &before);
  write_file_atomic("/proc/self/fd/" + std::to_string(fd), "second\n");
  struct stat after {};
  ::stat(file.c_str(), &after);
  ::close(fd);
  EXPECT_EQ(before.st_ino, after.st_ino) << "`-o /dev/stdout >> log` does not replace log";
  EXPECT_EQ(read_file(file), "first\nsecond\n");
}

TEST(Outputs, ALogFileThatCannotBeOpenedIsAnError) {
  const TempDir dir;
  EXPECT_NE(message_of([&] { log::set_file(dir / "absent/log"); }), "");
}

TEST(Locks, OneThatWasRemovedIsNoticedAndNotTakenForHeld) {
  const TempDir dir;
  const auto held = FileLock::try_acquire(dir / "lock");
  ASSERT_TRUE(held && held->in_place());
  fs::remove(dir / "lock");
  EXPECT_FALSE(held->in_place());
  const auto other = FileLock::try_acquire(dir / "lock");
  EXPECT_TRUE(other && other->in_place());
  EXPECT_FALSE(held->in_place()) << "another file has its name";
}

TEST(Locks, UsersAndTheMakerAreBesideEachOther) {
  const TempDir dir;
  const fs::path file = dir / "lock";
  {
    const auto maker = FileLock::try_acquire(file);
    const auto one = FileLock::share(file), two = FileLock::share(file);
    EXPECT_TRUE(maker && one && two);
    EXPECT_FALSE(FileLock::try_acquire(file));
    EXPECT_FALSE(FileLock::try_acquire_unused(file));
  }
  {
    const auto user = FileLock::share(file);
    EXPECT_FALSE(FileLock::try_acquire_unused(file));
    EXPECT_TRUE(FileLock::try_acquire(file)) << "a maker waits for no user";
  }
  const auto all = FileLock::try_acquire_unused(file);
  ASSERT_TRUE(all);
  EXPECT_FALSE(FileLock::share(file));
  EXPECT_FALSE(FileLock::try_acquire(file));
  EXPECT_FALSE(FileLock::share(dir / "absent/lock")) << "no reason to fail";
}

}  // namespace
}  // namespace xp
