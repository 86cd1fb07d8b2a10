// Masks, noise, statistics and pictures.
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ops/frontend_options.h"
#include "core/ops/norm_stats.h"
#include "core/ops/spec_masks.h"
#include "core/ops/spectrogram_image.h"
#include "core/ops/uniform_noise.h"
#include "core/schema/frontend.h"
#include "core/schema/geometry.h"

namespace xp::ops {
namespace {

TEST(SpecMasks, StayInsideAndAreUniform) {
  // Width is uniform on 0..limit-1 and the start follows; chi-square with 47 degrees of
  // freedom, 99.9 % point 82.7.
  constexpr int64_t kLimit = 48, kBins = 128, kDraws = 48000;
  std::vector<int64_t> widths(kLimit, 0);
  double starts = 0;
  for (int64_t i = 0; i < kDraws; ++i) {
    Rng rng(3, "masks", 0, static_cast<uint64_t>(i));
    const Masks m = draw_masks(kLimit, 192, kBins, 100, rng);
    ASSERT_GE(m.bins.start, 0);
    ASSERT_LE(m.bins.start + m.bins.width, kBins);
    ASSERT_LE(m.frames.start + m.frames.width, 100);  // a limit beyond the size is cut
    ++widths[static_cast<size_t>(m.bins.width)];
    starts += static_cast<double>(m.bins.start) / static_cast<double>(kBins - m.bins.width);
  }
  double chi = 0;
  for (int64_t count : widths) {
    const double want = static_cast<double>(kDraws) / kLimit;
    chi += (static_cast<double>(count) - want) * (static_cast<double>(count) - want) / want;
  }
  EXPECT_LT(chi, 82.7);
  EXPECT_NEAR(starts / kDraws, 0.5, 0.01);
  const Stretch none = mask_stretch(0.9F, 0.9F, 0, 128);
  EXPECT_EQ(none.width, 0);
}

TEST(SpecMasks, Fill) {
  std::vector<float> mel(4 * 5, 1.0F);
  fill_masks(mel.data(), 4, 5, {{1, 2}, {3, 1}}, 0.0F);
  EXPECT_EQ(mel, (std::vector<float>{1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1}));
}

TEST(UniformNoise, IsUniformAndKeyed) {
  std::vector<float> a(100000), b(a.size()), c(100);
  uniform_noise(11, a.data(), static_cast<int64_t>(a.size()));
  uniform_noise(12, b.data(), static_cast<int64_t>(b.size()));
  uniform_noise(11, c.data(), static_cast<int64_t>(c.size()));
  EXPECT_TRUE(std::equal(c.begin(), c.end(), a.begin()));
  std::vector<double> counts(50, 0);
  double lag = 0, cross = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_GE(a[i], 0);
    ASSERT_LT(a[i], 1);
    ++counts[static_cast<size_t>(a[i] * 50)];
    const double x = static_cast<double>(a[i]) - 0.5;
    cross += x * (static_cast<double>(b[i]) - 0.5);
    if (i > 0) lag += x * (static_cast<double>(a[i - 1]) - 0.5);
  }
  double chi = 0;
  for (double count : counts) chi += (count - 2000) * (count - 2000) / 2000;
  EXPECT_LT(chi, 85.4);  // 49 degrees of freedom, 99.9 %
  const double n = static_cast<double>(a.size());
  EXPECT_LT(std::fabs(lag / n), 1e-3);  // 3.8 standard errors of 1 / (12 sqrt n)
  EXPECT_LT(std::fabs(cross / n), 1e-3);
}

TEST(NormStats, ExactInAnyPartition) {
  std::vector<float> values;
  Rng rng(5, "stats");
  for (int i = 0; i < 30000; ++i) values.push_back(static_cast<float>(-4 + 3 * rng.normal()));
  double mean = 0, square = 0;
  for (float v : values) mean += static_cast<double>(v) / 30000;
  for (float v : values)
    square += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean) / 30000;

  NormStatsSum whole, left, right;
  whole.add(values);
  const std::span<const float> all(values);
  left.add(all.first(777));
  right.add(all.subspan(777, 9000));
  right.add(all.subspan(9777));
  left.merge(right);
  for (const NormStats& got : {whole.result(), left.result()}) {
    EXPECT_NEAR(got.mean, mean, 1e-12);
    EXPECT_NEAR(got.std, std::sqrt(square), 1e-12);
    EXPECT_EQ(got.values, 30000);
  }
  EXPECT_EQ(left.result().clips, 3);
}

TEST(NormStats, AstAveragesBatches) {
  // Batches of two clips: {1, 3, 5, 7} and {2, 4}. Unbiased deviations sqrt(20/3) and sqrt 2.
  NormStatsSum sum(NormStatsSum::Kind::kAstBatches, 2);
  sum.add(std::vector<float>{1, 3});
  sum.add(std::vector<float>{5, 7});
  sum.add(std::vector<float>{2, 4});
  const NormStats got = sum.result();
  EXPECT_DOUBLE_EQ(got.mean, (4.0 + 3.0) / 2);
  EXPECT_DOUBLE_EQ(got.std, (std::sqrt(20.0 / 3) + std::sqrt(2.0)) / 2);
  EXPECT_EQ(got.clips, 3);
  EXPECT_EQ(got.values, 6);
}

TEST(NormStats, NothingToCount) {
  try {
    NormStatsSum().result();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "no spectrogram values: mean and deviation are not defined");
    EXPECT_EQ(error.code(), Exit::kData);
  }
}

TEST(SpectrogramImage, LowBinsAtTheBottom) {
  const std::vector<float> mel = {0, 1, NAN, 0.5F};  // [2, 2]
  const Image image = spectrogram_image(mel.data(), 2, 2, 2, {.scale_x = 2, .scale_y = 1});
  ASSERT_EQ(image.width, 4);
  ASSERT_EQ(image.height, 2);
  const auto pixel = [&](int64_t x, int64_t y) {
    const auto at = static_cast<size_t>(3 * (y * image.width + x));
    return std::vector<int>(image.rgb.begin() + static_cast<int64_t>(at),
                            image.rgb.begin() + static_cast<int64_t>(at) + 3);
  };
  EXPECT_EQ(pixel(0, 0), (std::vector<int>{0, 200, 60}));     // NaN of bin 1
  EXPECT_EQ(pixel(0, 1), (std::vector<int>{4, 4, 12}));       // smallest
  EXPECT_EQ(pixel(2, 1), (std::vector<int>{252, 248, 190}));  // largest
  EXPECT_EQ(pixel(1, 1), pixel(0, 1));
}

TEST(SpectrogramImage, BrightnessRises) {
  std::vector<float> ramp(256);
  std::iota(ramp.begin(), ramp.end(), 0.0F);
  const Image image = spectrogram_image(ramp.data(), 1, 256, 256);
  double before = -1;
  for (size_t x = 0; x < 256; ++x) {
    const double light =
        0.2126 * image.rgb[3 * x] + 0.7152 * image.rgb[3 * x + 1] + 0.0722 * image.rgb[3 * x + 2];
    EXPECT_GE(light, before - 0.8) << x;  // bytes are rounded
    before = light;
  }
}

TEST(FrontendPlan, FollowsTheRecipe) {
  auto mel = schema::FrontendOptions::of_kind(schema::FrontendKind::kAugmentMel);
  EXPECT_EQ(log_mel_options(mel).high_hz, 15000);
  mel.high_jitter_hz = 1000;
  EXPECT_EQ(log_mel_options(mel).high_hz, 15500);  // PaSST's class default
  mel.high_hz = 14000;
  EXPECT_EQ(log_mel_options(mel).high_hz, 14000);
  EXPECT_EQ(clip_samples(mel), 320000);
  EXPECT_EQ(normalisation(mel).scale, 0.2F);
  const auto kaldi = schema::FrontendOptions::of_kind(schema::FrontendKind::kKaldi);
  EXPECT_EQ(log_mel_options(kaldi).high_hz, 0);  // the Nyquist frequency
  EXPECT_EQ(padding_value(kaldi), 0);
  EXPECT_FLOAT_EQ(padding_value(mel), -11.512925F);
}

TEST(FrontendPlan, FramesAreThoseOfTheGeometry) {
  for (const auto kind : {schema::FrontendKind::kKaldi, schema::FrontendKind::kAugmentMel}) {
    auto options = schema::FrontendOptions::of_kind(kind);
    options.frames = 0;
    options.clip_s = 0;
    const LogMel plan(log_mel_options(options));
    for (const int64_t samples : {int64_t{0}, int64_t{1}, int64_t{399}, int64_t{400},
                                  int64_t{16000}, int64_t{32001}, int64_t{320000}}) {
      EXPECT_EQ(plan.frames(samples), schema::frames_of(options, samples)) << samples;
    }
  }
}

}  // namespace
}  // namespace xp::ops
