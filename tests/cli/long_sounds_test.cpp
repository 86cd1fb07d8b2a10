// What predict and embed need of memory for a long file: what they need for a shorter one.
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/testing/fixtures.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Shell;

class LongSoundsIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto file = testing::fixture("model/efficientat/mn04_as/mn04_as.pt");
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without LibTorch";
    if (!file) GTEST_SKIP() << "EXP_FIXTURES is unset, or has no mn04 to try the commands on";
    source_ = *file;
  }

  /// The process's own mark of its largest memory, MB: looked at until it ends.
  double peak_mb(const std::string& command, double seconds) const {
    const fs::path sound = dir_ / "long.wav";
    testing::write_wav(sound, seconds, 440, 8000);
    const Shell shell = testing::shell(fmt::format(
        "cd '{}' && {{ NO_COLOR=1 OMP_NUM_THREADS=1 {}/exp {} > out.txt 2>&1 & }}; while grep "
        "VmHWM /proc/$!/status 2> grep.txt; do sleep 0.02; done > marks.txt; "
        "wait $! || cat out.txt; tail -n 1 marks.txt",
        dir_.path().string(), XP_BIN_DIR, command));
    constexpr std::string_view kMark = "VmHWM:";
    const size_t at = shell.text.find(kMark);
    if (at != 0) ADD_FAILURE() << shell.text;
    fs::remove(sound);
    return at == 0 ? std::stod(shell.text.substr(kMark.size())) * 1024 / 1e6 : 0;
  }
  void expect_no_more(const std::string& command, double seconds, double longer) const {
    const double before = peak_mb(command, seconds);
    const double after = peak_mb(command, longer);
    fmt::print("{}: {:.0f} MB for {} s, {:.0f} MB for {} s\n", command, before, seconds, after,
               longer);
    EXPECT_LT(after - before, 12);  // the samples of the longer one are 19 MB and more
  }

  testing::TempDir dir_;
  fs::path source_;
};

TEST_F(LongSoundsIntegration, AnHourIsPredictedInTheMemoryOfSixMinutes) {
  expect_no_more(
      fmt::format("predict '{}' long.wav --window-s 10 --hop-s 10 --batch 4", source_.string()),
      360, 3600);
}

TEST_F(LongSoundsIntegration, TimeEmbeddingsOfALongFileTakeTheMemoryOfAShortOne) {
  expect_no_more(
      fmt::format("embed long.wav --checkpoint '{}' --timestamps --out out.h5", source_.string()),
      150, 300);
}

}  // namespace
}  // namespace xp::cli
