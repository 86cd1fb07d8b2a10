#include "core/train/weights_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/train/archive_io.h"
#include "tests/testing/temp_dir.h"

namespace xp::train {
namespace {

TEST(WeightsFile, ADescriptionBeyondWhatTheFileHoldsIsDamage) {
  const testing::TempDir folder;
  Carried carried;
  carried.model = schema::ModelOptions::of_kind(schema::Family::k_ast);
  carried.model.arch = "ast-nano";
  carried.frontend = schema::FrontendOptions::of_kind(schema::FrontendKind::kKaldi);
  carried.geometry = {128, 1024};
  carried.classes = {{"a", "a"}};
  const auto written = [&](int64_t values) {
    checkpoint::Archive archive;
    add_tensor(archive, "weight", at::zeros({values}));
    archive.set_metadata("exp.checkpoint", "1");
    archive.set_metadata("exp.carried", carried_text(carried));
    archive.write_safetensors(folder / "last.safetensors");
    return folder / "last.safetensors";
  };
  EXPECT_EQ(read_carried(written(2'000'000))->model.arch, "ast-nano");
  carried.model.dim = 8192;
  carried.model.depth = 96;
  carried.model.heads = 128;
  const auto file = written(1000);
  try {
    read_carried(file);
    FAIL() << "300 GB would be asked for";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with(file.string() + ": damaged metadata (it describes ")) << text;
    EXPECT_TRUE(text.ends_with(" parameters and holds 1000 values)")) << text;
  }
}

}  // namespace
}  // namespace xp::train
