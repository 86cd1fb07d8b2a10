#include "core/schema/geometry.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace xp::schema {
namespace {

ModelOptions model_of(const char* arch, int64_t fstride, int64_t tstride) {
  ModelOptions model;
  model.arch = arch;
  model.fstride = fstride;
  model.tstride = tstride;
  return model;
}

TEST(Geometry, PatchGrids) {
  struct Case {
    const char* name;
    const char* arch;
    int64_t fstride, tstride, F, T;
    Grid want;
  };
  const Case cases[] = {
      {"AST, AudioSet", "ast-base384", 10, 10, 128, 1024, {12, 101}},
      {"AST, fstride 12", "ast-base384", 12, 10, 128, 1024, {10, 101}},
      {"AST, ESC-50", "ast-base384", 10, 10, 128, 512, {12, 50}},
      {"AST, Speech Commands", "ast-base384", 10, 10, 128, 128, {12, 12}},
      {"PaSST", "passt-s", 10, 10, 128, 998, {12, 99}},
      {"SSAST patch, no overlap", "ssast-base-patch", 0, 0, 128, 1024, {8, 64}},
      {"SSAST frame, no overlap", "ssast-base-frame", 0, 0, 128, 1024, {1, 512}},
      {"smaller than a patch", "ast-nano", 16, 16, 128, 15, {8, 0}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(patch_grid(model_of(c.arch, c.fstride, c.tstride), {c.F, c.T}), c.want);
  }
}

TEST(Geometry, BlocksThatCutDepthKeeps) {
  using Blocks = std::vector<int64_t>;
  EXPECT_EQ(kept_blocks(4, 0), (Blocks{0, 1, 2, 3}));
  EXPECT_EQ(kept_blocks(6, 3), (Blocks{0, 4, 5}));
  EXPECT_EQ(kept_blocks(6, 5), Blocks{});
  EXPECT_EQ(kept_blocks(12, -1), kept_blocks(12, 0));
  EXPECT_EQ(kept_blocks(12, -2), (Blocks{0, 1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(kept_blocks(12, -3), (Blocks{0, 1, 4, 7, 10, 11}));
  EXPECT_EQ(kept_blocks(2, -3), (Blocks{0, 1}));
  ModelOptions model = model_of("passt-s", 10, 10);
  model.cut_depth = -3;
  EXPECT_EQ(model.resolved().depth, 6);
  EXPECT_EQ(model.source_blocks(), (Blocks{0, 1, 4, 7, 10, 11}));
}

TEST(Geometry, PasstPositionsFloor) {
  EXPECT_EQ(passt_position_grid(model_of("passt-s", 12, 12), {128, 998}), (Grid{10, 83}));
  EXPECT_EQ(patch_grid(model_of("passt-s", 12, 12), {128, 998}), (Grid{10, 82}));
}

TEST(Geometry, FramesOfAClip) {
  FrontendOptions kaldi;
  kaldi.frames = 0;
  EXPECT_EQ(frames_of(kaldi, 160000), 998);
  EXPECT_EQ(frames_of(kaldi, 399), 0);
  kaldi.frames = 1024;
  EXPECT_EQ(frames_of(kaldi, 160000), 1024);
  const auto mel = FrontendOptions::of_kind(FrontendKind::kAugmentMel);
  EXPECT_EQ(frames_of(mel, 0), 1000);  // clip_s = 10
  EXPECT_EQ(input_geometry(mel).T, 1000);
}

TEST(Geometry, PatchoutOfPasst) {
  PatchoutOptions patchout;
  patchout.t = 40;
  patchout.f = 4;
  const Kept kept = after_patchout(patchout, {12, 99});
  EXPECT_EQ(kept.grid, (Grid{8, 59}));
  EXPECT_EQ(kept.patches, 472);
  PatchoutOptions half;
  half.u_p = 0.5;
  EXPECT_EQ(after_patchout(half, {3, 3}).patches, 5);
}

TEST(Geometry, OnlyTransformersHaveTokensToMerge) {
  for (const char* arch : {"ast-nano", "passt-s", "mn10", "pool"}) {
    auto model = ModelOptions::of_kind(*ModelOptions::parse_kind(arch));
    model.arch = arch;
    if (is_transformer(model.resolved().family)) {
      EXPECT_NO_THROW(require_tokens(model, "--tome"));
      continue;
    }
    try {
      require_tokens(model, "--tome");
      FAIL() << arch;
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), std::string("--tome merges tokens, and ") + arch + " has none");
    }
  }
}

}  // namespace
}  // namespace xp::schema
