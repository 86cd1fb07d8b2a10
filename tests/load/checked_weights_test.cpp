// Weights whose manifest lies beside them: a changed byte is found while they are loaded.
#include "core/load/checked_weights.h"

#include <array>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/manifest.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;

std::string refusal(const fs::path& file) {
  try {
    use_checked_weights(file, [](const checkpoint::Archive&) {});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    return error.message();
  }
  return "";
}

TEST(CheckedWeights, EveryChangedByteIsFound) {
  const testing::TempDir dir;
  const fs::path file = dir / "last.safetensors";
  checkpoint::Archive archive;
  const std::array<std::byte, 8> values{};
  archive.add("a", checkpoint::Dtype::kF32, {2}, values);
  archive.write_safetensors(file);
  graph::Manifest manifest;
  manifest.files = graph::list_output(dir.path());
  testing::put(dir / "manifest.json", graph::manifest_text(manifest));
  EXPECT_EQ(refusal(file), "");
  const std::string whole = read_file(file);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    testing::put(file, changed);
    EXPECT_NE(refusal(file).find("does not match the digest in manifest.json"), std::string::npos)
        << at << ": " << refusal(file);
  }
  fs::remove(dir / "manifest.json");
  EXPECT_EQ(refusal(file), "") << "the last byte is a value like any other";
}

// What reading makes of damaged bytes is not what is told.
TEST(CheckedWeights, DamageExplainsWhatTheReaderRunsInto) {
  const testing::TempDir dir;
  const fs::path file = dir / "last.safetensors";
  checkpoint::Archive().write_safetensors(file);
  graph::Manifest manifest;
  manifest.files = graph::list_output(dir.path());
  testing::put(dir / "manifest.json", graph::manifest_text(manifest));
  const auto fail = [](const checkpoint::Archive&) { throw Error("no such tensor"); };
  EXPECT_THROW(use_checked_weights(file, fail), Error);
  try {
    use_checked_weights(file, fail);
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "no such tensor");
  }
  testing::put(file, read_file(file) + " ");
  EXPECT_NE(refusal(file).find("does not match the digest"), std::string::npos) << refusal(file);
}

}  // namespace
}  // namespace xp::load
