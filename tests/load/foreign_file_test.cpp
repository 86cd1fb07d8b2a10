// What a file says of its model against what a recipe or a command says of it.
#include "core/load/foreign_file.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/files/export.h"
#include "core/model/registry.h"
#include "tests/testing/temp_dir.h"

namespace xp::load {
namespace {

using checkpoint::Archive;
using schema::ModelOptions;

constexpr model::Geometry kShort{64, 96};

ModelOptions small(const std::string& arch) {
  ModelOptions options = ModelOptions::of_kind(*ModelOptions::parse_kind(arch));
  options.arch = arch;
  if (schema::is_transformer(options.resolved().family)) {
    options.dim = 16;
    options.depth = 1;
    options.heads = 2;
  }
  return options;
}

Archive file_of(const ModelOptions& options, model::Original as, const testing::TempDir& dir) {
  const auto made = model::make_model({.options = options, .geometry = kShort, .classes = 3});
  model::export_weights(*made, as, kShort).write_torch(dir / "out.pth", "model");
  return Archive::open(dir / "out.pth");
}

TEST(ForeignFile, ADifferenceThatNoShapeShowsIsNamedWithBothValues) {
  const testing::TempDir dir;
  ModelOptions post = small("ast-nano");
  post.norm_first = false;
  post.activation = schema::MlpActivation::kRelu;
  const Archive archive = file_of(post, model::Original::kTorchOnly, dir);
  EXPECT_EQ(model_difference(archive, dir / "out.pth", nullptr, post, kShort), "");
  EXPECT_EQ(
      model_difference(archive, dir / "out.pth", nullptr, small("ast-nano"), kShort),
      "model.norm_first = false in out.pth (here true), model.activation = \"relu\" in out.pth "
      "(here \"gelu\")");
  // What the architecture stands for is no difference.
  ModelOptions other = small("mn10-s2221");
  ModelOptions spelt = small("mn10");
  spelt.strides = {2, 2, 2, 1};
  EXPECT_EQ(model_difference({}, "a.safetensors", &other, spelt, kShort), "");
  spelt.dilated = true;
  EXPECT_EQ(model_difference({}, "a.safetensors", &other, spelt, kShort),
            "model.dilated = false in a.safetensors (here true)");
}

TEST(ForeignFile, WhatACnnsShapesShowIsNamedByItsKey) {
  const testing::TempDir dir;
  ModelOptions two = small("dymn01");
  two.dyconv_k = 2;
  const Archive archive = file_of(two, model::Original::kDymn, dir);
  EXPECT_EQ(model_difference(archive, "a.pt", nullptr, two, kShort), "");
  EXPECT_EQ(model_difference(archive, "a.pt", nullptr, small("dymn01"), kShort),
            "model.dyconv_k = 2 in a.pt (here 4)");
}

TEST(ForeignFile, OptionsBesideADescriptionAgreeWithIt) {
  const testing::TempDir dir;
  ModelOptions made = ModelOptions::of_kind(schema::Family::k_ast);
  made.arch = "ast-nano";
  made.fstride = made.tstride = 16;
  const Archive archive = file_of(made, model::Original::kTorchOnly, dir);
  const auto config = model::torchonly_config(archive, dir / "out.pth");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->input.F, kShort.F);
  EXPECT_EQ(config->input.T, kShort.T);
  ModelOptions model;
  schema::FrontendOptions frontend;
  const auto fault = [&](const std::string& arch, int64_t fstride, int64_t tstride) {
    try {
      take_description(*config, "out.pth", arch, fstride, tstride, model, frontend);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(fault("", 0, 0), "");
  EXPECT_EQ(model.arch, "ast-nano");
  EXPECT_EQ(frontend.mel_bins, kShort.F);
  EXPECT_EQ(fault("ast-nano", 16, 16), "");
  EXPECT_NE(fault("ast-base384", 0, 0).find("--arch"), std::string::npos);
  EXPECT_NE(fault("", 10, 0).find("--fstride is 16 there, 10 here"), std::string::npos);
  EXPECT_NE(fault("", 0, 10).find("--tstride"), std::string::npos);
}

}  // namespace
}  // namespace xp::load
