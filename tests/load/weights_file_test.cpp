#include "core/load/weights_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/load/archive_io.h"
#include "core/model/registry.h"
#include "core/schema/weights_header.h"
#include "tests/testing/temp_dir.h"

namespace xp::load {
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

// What the check of a recipe reads in the header of a checkpoint agrees with the model that wrote
// it.
TEST(WeightsFile, ItsHeaderFitsItsOwnModelAndNoOther) {
  const testing::TempDir folder;
  std::vector<schema::ModelOptions> all;
  for (const char* arch : {"ast-nano", "ast-tiny224", "passt-s", "ssast-tiny-patch", "mn04", "mn10",
                           "mn20", "dymn04", "dymn10", "pool"}) {
    all.push_back(schema::ModelOptions::of_kind(*schema::ModelOptions::parse_kind(arch)));
    all.back().arch = arch;
    if (schema::is_transformer(all.back().resolved().family)) all.back().depth = 2;
  }
  all[2].dim = 24;
  all[2].heads = 2;
  for (const schema::ModelOptions& own : all) {
    SCOPED_TRACE(own.arch);
    Carried carried;
    carried.model = own;
    carried.geometry = {128, 128};
    carried.classes = {{"a", "A"}, {"b", "B"}};
    write_weights(folder.path(), "last",
                  *model::make_model(
                      {.options = own, .geometry = carried.geometry, .classes = 2, .draw = false}),
                  carried);
    const schema::WeightsHeader header = schema::read_weights_header(folder / "last.safetensors");
    EXPECT_EQ(header.classes, 2);
    ASSERT_TRUE(header.frontend.has_value());
    for (const schema::ModelOptions& other : all) {
      const schema::Arch mine = own.resolved(), theirs = other.resolved();
      const bool alike = schema::body_of(mine.family) == schema::body_of(theirs.family) &&
                         mine.dim == theirs.dim && mine.width == theirs.width;
      EXPECT_EQ(schema::why_unfit(header, other).empty(), alike) << other.arch;
    }
    if (!schema::is_transformer(own.resolved().family)) continue;
    schema::ModelOptions deeper = own;
    deeper.depth = 3;
    EXPECT_FALSE(schema::why_unfit(header, deeper).empty());
    deeper.strict = false;
    EXPECT_TRUE(schema::why_unfit(header, deeper).empty());
  }
}

}  // namespace
}  // namespace xp::load
