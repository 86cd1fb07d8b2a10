// Pipes and devices where a file is expected: one error at once, never a wait.
#include <filesystem>
#include <functional>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/temp_dir.h"

namespace xp {
namespace {

TEST(RegularFile, PipesAndDevicesAreRefused) {
  const testing::TempDir dir;
  const std::filesystem::path pipe = dir / "pipe", circle = dir / "circle";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink(circle, circle);
  const auto refusal = [](const std::function<void()>& read) -> std::string {
    try {
      read();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kData);
      return error.message();
    }
    return "";
  };
  EXPECT_EQ(refusal([&] { read_file(pipe); }),
            "cannot read " + pipe.string() + ": it is a pipe, not a regular file");
  EXPECT_EQ(refusal([&] { sha256_file(pipe); }), refusal([&] { read_file(pipe); }));
  EXPECT_EQ(refusal([] { read_file("/dev/zero"); }),
            "cannot read /dev/zero: it is a device, not a regular file");
  EXPECT_EQ(refusal([] { sha256_file("/dev/zero"); }),
            "cannot read /dev/zero: it is a device, not a regular file");
  EXPECT_EQ(refusal([&] { read_file(dir.path()); }),
            "cannot read " + dir.path().string() + ": it is a folder, not a regular file");
  EXPECT_EQ(refusal([&] { read_file(circle); }),
            "cannot read " + circle.string() + ": Too many levels of symbolic links");
  EXPECT_FALSE(read_file("/proc/self/status").empty()) << "of no size, and a file all the same";
}

}  // namespace
}  // namespace xp
