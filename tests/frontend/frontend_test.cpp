#include "core/frontend/frontend.h"

#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/log_mel_device.h"
#include "core/ops/frontend_options.h"
#include "core/ops/uniform_noise.h"
#include "core/schema/augment.h"
#include "core/schema/frontend.h"

namespace xp::frontend {
namespace {

using schema::AugmentOptions;
using schema::FrontendKind;
using schema::FrontendOptions;

/// [B, N] of sound that is zero beyond each clip's length.
at::Tensor sounds(const std::vector<int64_t>& lengths, int64_t samples) {
  at::Tensor out = at::zeros({static_cast<int64_t>(lengths.size()), samples});
  auto* row = out.mutable_data_ptr<float>();
  for (size_t b = 0; b < lengths.size(); ++b, row += samples) {
    Rng rng(4, "sound", 0, b);
    for (int64_t i = 0; i < lengths[b]; ++i) {
      row[i] = static_cast<float>(0.2 + 0.3 * std::sin(0.03 * static_cast<double>(i)) +
                                  0.2 * rng.uniform(-1, 1));
    }
  }
  return out;
}

FrontendOptions options_of(FrontendKind kind, int64_t frames, double clip_s = 0) {
  FrontendOptions options = FrontendOptions::of_kind(kind);
  options.frames = frames;
  options.clip_s = clip_s;
  return options;
}

at::Tensor mel_of(const Frontend& frontend, const at::Tensor& waves, const Draws* draws = nullptr) {
  return frontend.forward(Waves::whole(waves), draws).mel;
}

/// Clips of which nothing but the lengths counts.
Waves blank(int64_t clips, int64_t samples) {
  return Waves::whole(at::empty({1, samples}).expand({clips, samples}));
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

const FrontendKind kKinds[] = {FrontendKind::kKaldi, FrontendKind::kAugmentMel};

TEST(Frontend, AClipDoesNotSeeItsBatch) {
  const std::vector<int64_t> lengths = {32000, 20011, 9000, 700};
  const at::Tensor waves = sounds(lengths, 32000);
  for (const auto kind : kKinds) {
    for (const int64_t frames : {0, 64, 300}) {
      SCOPED_TRACE(std::string(schema::FrontendKind::kKaldi == kind ? "kaldi " : "augment_mel ") +
                   std::to_string(frames));
      const Frontend frontend(options_of(kind, frames), {});
      const Spectrograms batch = frontend.forward({waves, lengths});
      ASSERT_EQ(batch.mel.sizes(), (at::IntArrayRef{4, 128, frontend.frames(32000)}));
      for (int64_t b = 0; b < 4; ++b) {
        const int64_t n = lengths[static_cast<size_t>(b)], t = batch.frames[static_cast<size_t>(b)];
        const Spectrograms alone =
            frontend.forward(Waves::whole(waves[b].narrow(0, 0, n).unsqueeze(0)));
        ASSERT_EQ(alone.frames, std::vector<int64_t>{t});
        EXPECT_EQ(t, frames > 0 ? frames : frontend.frames(n));
        EXPECT_TRUE(at::equal(batch.mel[b].narrow(1, 0, t), alone.mel[0]));
      }
    }
  }
}

TEST(Frontend, DeviceVersionAgrees) {
  const std::vector<int64_t> lengths = {32000, 20011, 9000, 700, 0};
  const at::Tensor waves = sounds(lengths, 32000);
  for (const auto kind : kKinds) {
    for (const int64_t frames : {30, 210}) {
      const auto options = options_of(kind, frames);
      const Frontend frontend(options, {});
      const LogMelDevice device(ops::log_mel_options(options));
      const at::Tensor got = device.run(waves, lengths, frames, ops::normalisation(options),
                                        ops::padding_value(options));
      EXPECT_LT(worst(got, frontend.forward({waves, lengths}).mel), 5e-4);
      const std::vector<int64_t> even(5, 32000);
      const at::Tensor full =
          device.run(waves, even, frames, ops::normalisation(options), ops::padding_value(options));
      EXPECT_LT(worst(full.narrow(0, 0, 1), mel_of(frontend, waves).narrow(0, 0, 1)), 5e-4);
    }
  }
}

TEST(Frontend, DeviceVersionIsFloat32UnderAutocast) {
  const at::Tensor waves = sounds({16000}, 16000);
  const LogMelDevice device(ops::kaldi_options());
  const std::vector<int64_t> lengths = {16000};
  const at::Tensor want = device.run(waves, lengths, 98);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor got = device.run(waves, lengths, 98);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_TRUE(at::equal(got, want));
}

TEST(Frontend, BatchesThatAreDoneInPartsAreWhole) {
  // 5 minutes are 15 million values as windowed frames: two clips fit in a part of 2^25, the third
  // is a part alone.
  const std::vector<int64_t> lengths(3, 16000 * 300);
  const at::Tensor waves = sounds({16000, 16000, 16000}, 16000).repeat({1, 300});
  const LogMelDevice device(ops::kaldi_options());
  const at::Tensor got = device.run(waves, lengths, 29998);
  for (int64_t b = 0; b < 3; ++b) {
    const auto one = std::span<const int64_t>(lengths).first(1);
    EXPECT_LT(worst(got[b], device.run(waves.narrow(0, b, 1), one, 29998)[0]), 1e-5);
  }
}

TEST(Frontend, WaveformIsPaddedOrCutToClip) {
  const auto options = options_of(FrontendKind::kAugmentMel, 0, 1.0);
  const Frontend frontend(options, {});
  const std::vector<int64_t> lengths = {40000, 9000};
  const at::Tensor waves = sounds(lengths, 40000);
  const Spectrograms both = frontend.forward({waves, lengths});
  const at::Tensor& mel = both.mel;
  EXPECT_EQ(mel.size(2), 100);  // 1 + 31999 / 320
  EXPECT_EQ(both.frames, (std::vector<int64_t>{100, 100})) << "what clip_s pads is the clip's own";
  const at::Tensor cut = waves.narrow(1, 0, 32000);
  EXPECT_TRUE(at::equal(mel, mel_of(frontend, cut)));
  const at::Tensor brief = waves.narrow(0, 1, 1).narrow(1, 0, 9000);
  EXPECT_TRUE(at::equal(mel.narrow(0, 1, 1), mel_of(frontend, brief)));
}

TEST(Frontend, SaysThatClipsAreTooShort) {
  const Frontend frontend(options_of(FrontendKind::kKaldi, 0), {});
  for (const int64_t longest : {399, 4000}) {  // alone, and beside one that is long enough
    try {
      frontend.forward({at::zeros({2, longest}), {longest, 399}});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "a clip of 399 samples is too short for one frame of 400 samples");
      EXPECT_EQ(error.code(), Exit::kData);
    }
  }
}

TEST(Frontend, MasksHoldTheOriginalsValues) {
  // Written before the normalisation: 0.467 for AST's AudioSet recipe, 0.9 for PaSST.
  for (const auto kind : kKinds) {
    const Frontend frontend(options_of(kind, 200), {});
    Draws draws;
    draws.masks = {{{5, 3}, {50, 7}}};
    const at::Tensor waves = sounds({64000, 64000}, 64000);
    const at::Tensor masked = mel_of(frontend, waves, &draws), plain = mel_of(frontend, waves);
    const double value = masked[1][6][0].item<double>();
    EXPECT_NEAR(value, kind == FrontendKind::kKaldi ? 0.467 : 0.9, 5e-4);
    at::Tensor want = plain.clone();
    want.narrow(1, 5, 3).fill_(value);
    want.narrow(2, 50, 7).fill_(value);
    EXPECT_TRUE(at::equal(masked, want));
  }
}

TEST(Frontend, MasksOnAnyMemoryLayout) {
  const std::vector<Masks> masks = {{{0, 2}, {3, 4}}, {{7, 1}, {0, 0}}};
  at::Tensor contiguous = at::arange(2 * 8 * 9, at::kFloat).view({2, 8, 9});
  at::Tensor strided = contiguous.transpose(1, 2).contiguous().transpose(1, 2);
  ASSERT_FALSE(strided.is_contiguous());
  apply_masks(contiguous, masks, -1);
  apply_masks(strided, masks, -1);
  EXPECT_TRUE(at::equal(contiguous, strided));
  EXPECT_EQ((contiguous == -1).sum().item<int64_t>(), 2 * 9 + 6 * 4 + 9);
}

TEST(Frontend, NoiseThenRoll) {
  const Frontend frontend(options_of(FrontendKind::kKaldi, 128), {});
  const at::Tensor waves = sounds({16000, 16000, 16000}, 16000);
  Draws draws;
  draws.noise_roll = {{0.05F, 77, 3}, {0, 0, -10}, {0.1F, 78, 0}};
  const at::Tensor got = mel_of(frontend, waves, &draws), plain = mel_of(frontend, waves);
  for (int64_t b = 0; b < 3; ++b) {
    const NoiseRoll& draw = draws.noise_roll[static_cast<size_t>(b)];
    at::Tensor noise = at::empty({128, 128});
    ops::uniform_noise(draw.noise_key, noise.mutable_data_ptr<float>(), noise.numel());
    EXPECT_LT(worst(got[b], at::roll(plain[b] + draw.amplitude * noise, draw.shift, 1)), 1e-6);
  }
}

AugmentOptions everything() {
  AugmentOptions augment;
  augment.freq_mask_bins = 48;
  augment.time_mask_frames = 48;
  augment.noise_max = 0.1;
  augment.frame_roll = 10;
  augment.spec_mix_alpha = 0.3;
  return augment;
}

TEST(FrontendDraws, AreAFunctionOfTheirKey) {
  const Frontend frontend(options_of(FrontendKind::kAugmentMel, 0), everything());
  const Waves clips = blank(8, 64000);
  const Draws eight = frontend.draw({9, 2, 5, 40}, clips),
              again = frontend.draw({9, 2, 5, 40}, clips);
  // The second half of the batch as another rank would draw it.
  const Draws half = frontend.draw({9, 2, 5, 44}, blank(4, 64000));
  ASSERT_EQ(eight.masks.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(eight.masks[i].bins.start, again.masks[i].bins.start);
    EXPECT_EQ(eight.noise_roll[i].noise_key, again.noise_roll[i].noise_key);
    if (i < 4) continue;
    EXPECT_EQ(eight.masks[i].frames.start, half.masks[i - 4].frames.start);
    EXPECT_EQ(eight.masks[i].frames.width, half.masks[i - 4].frames.width);
    EXPECT_EQ(eight.noise_roll[i].shift, half.noise_roll[i - 4].shift);
    EXPECT_EQ(eight.mix->weight[i], half.mix->weight[i - 4]);
  }
  EXPECT_EQ(eight.band->high_hz, half.band->high_hz);
  EXPECT_EQ(eight.band->low_hz, half.band->low_hz);
  EXPECT_NE(frontend.draw({9, 2, 6, 40}, clips).band->high_hz, eight.band->high_hz);
  EXPECT_NE(frontend.draw({9, 3, 5, 40}, clips).noise_roll[0].noise_key,
            eight.noise_roll[0].noise_key);
}

/// A clip in training gets what it gets alone, masks, noise and roll: all lie in its own frames.
TEST(FrontendDraws, AClipDoesNotSeeItsBatch) {
  const std::vector<int64_t> lengths = {64000, 30000, 9000};
  const at::Tensor waves = sounds(lengths, 64000);
  for (const auto kind : kKinds) {
    for (const auto mask_per : {schema::MaskPer::kClip, schema::MaskPer::kBatch}) {
      AugmentOptions augment = everything();
      augment.spec_mix_alpha = 0;
      augment.mask_per = mask_per;
      const Frontend frontend(options_of(kind, 0), augment);
      const Waves all{waves, lengths};
      const Draws draws = frontend.draw({3, 1, 2, 12}, all);
      const Spectrograms batch = frontend.forward(all, &draws);
      for (int64_t b = 0; b < 3; ++b) {
        const auto at = static_cast<size_t>(b);
        const Waves one = Waves::whole(waves[b].narrow(0, 0, lengths[at]).unsqueeze(0));
        const Draws own = frontend.draw({3, 1, 2, 12 + static_cast<uint64_t>(b)}, one);
        EXPECT_TRUE(at::equal(batch.mel[b].narrow(1, 0, batch.frames[at]),
                              mel_of(frontend, one.samples, &own)[0]));
      }
    }
  }
}

TEST(FrontendDraws, AMixedClipIsAsLongAsTheLonger) {
  AugmentOptions augment;
  augment.spec_mix_alpha = 0.3;
  const Frontend frontend(options_of(FrontendKind::kKaldi, 0), augment);
  const Waves clips{sounds({32000, 20000, 9000}, 32000), {32000, 20000, 9000}};
  const Draws draws = frontend.draw({3, 1, 2, 12}, clips);
  const std::vector<int64_t> own = frontend.forward(clips).frames;
  const std::vector<int64_t> mixed = frontend.forward(clips, &draws).frames;
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(mixed[i], std::max(own[i], own[static_cast<size_t>(draws.mix->partner[i])]));
}

TEST(FrontendDraws, AreAppliedAlikeByBothVersions) {
  const std::vector<int64_t> lengths = {64000, 30000, 5000};
  const at::Tensor waves = sounds(lengths, 64000);
  for (const auto kind : kKinds) {
    for (const double clip_s : {0.0, 3.0}) {
      const Frontend frontend(options_of(kind, 0, clip_s), everything());
      const Waves clips{waves, lengths};
      const Draws draws = frontend.draw({3, 1, 2, 12}, clips);
      const Spectrograms a = frontend.forward(clips, &draws),
                         b = frontend.forward_with_aten(clips, &draws);
      ASSERT_EQ(a.mel.sizes(), b.mel.sizes());
      EXPECT_EQ(a.frames, b.frames);
      EXPECT_LT(worst(a.mel, b.mel), 5e-4);
    }
  }
}

TEST(FrontendDraws, NothingIsDrawnUnlessAsked) {
  const Draws draws =
      Frontend(options_of(FrontendKind::kKaldi, 128), {}).draw({1, 0, 0, 0}, blank(4, 16000));
  EXPECT_TRUE(draws.masks.empty());
  EXPECT_TRUE(draws.noise_roll.empty());
  EXPECT_FALSE(draws.band || draws.mix);
}

TEST(FrontendDraws, OneMaskForTheBatch) {
  AugmentOptions augment = everything();
  augment.mask_per = schema::MaskPer::kBatch;
  const Frontend frontend(options_of(FrontendKind::kAugmentMel, 0), augment);
  const Draws a = frontend.draw({1, 0, 3, 0}, blank(4, 64000)),
              b = frontend.draw({1, 0, 3, 64}, blank(4, 64000));
  ASSERT_EQ(a.masks.size(), 1u);
  EXPECT_EQ(a.masks[0].bins.start, b.masks[0].bins.start);  // whatever the rank
  EXPECT_EQ(a.masks[0].bins.width, b.masks[0].bins.width);
}

TEST(FrontendDraws, BandIsThatOfTheOriginal) {
  // PaSST: low 0..9 Hz, high 14001..16000 Hz.
  const Frontend frontend(options_of(FrontendKind::kAugmentMel, 0), {});
  std::set<double> lows;
  double smallest = 1e9, largest = 0, sum = 0;
  constexpr int kSteps = 20000;
  for (uint64_t step = 0; step < kSteps; ++step) {
    const Band band = *frontend.draw({1, 0, step, 0}, blank(1, 32000)).band;
    lows.insert(band.low_hz);
    smallest = std::min(smallest, band.high_hz);
    largest = std::max(largest, band.high_hz);
    sum += band.high_hz;
  }
  EXPECT_EQ(lows.size(), 10u);
  EXPECT_EQ(*lows.rbegin(), 9);
  EXPECT_GE(smallest, 14001);
  EXPECT_LE(smallest, 14005);
  EXPECT_EQ(largest, 16000);
  EXPECT_NEAR(sum / kSteps, 15000.5, 15);  // 3.7 standard errors
}

TEST(FrontendDraws, RollAndNoiseAreThoseOfTheOriginal) {
  const Frontend frontend(options_of(FrontendKind::kKaldi, 128), everything());
  const Draws draws = frontend.draw({1, 0, 0, 0}, blank(20000, 16000));
  std::vector<double> shifts(20, 0);
  double amplitude = 0;
  for (const NoiseRoll& draw : draws.noise_roll) {
    ASSERT_TRUE(draw.shift >= -10 && draw.shift <= 9);
    ASSERT_TRUE(draw.amplitude >= 0 && draw.amplitude < 0.1F);
    ++shifts[static_cast<size_t>(draw.shift + 10)];
    amplitude += static_cast<double>(draw.amplitude) / 20000;
  }
  double chi = 0;
  for (double count : shifts) chi += (count - 1000) * (count - 1000) / 1000;
  EXPECT_LT(chi, 43.8);  // 19 degrees of freedom, 99.9 %
  EXPECT_NEAR(amplitude, 0.05, 8e-4);
}

TEST(SpecMixup, WeightsAndPartners) {
  const SpecMix mix = draw_spec_mix(20000, 0.3, 5, 1, 0);
  std::set<int64_t> partners(mix.partner.begin(), mix.partner.end());
  EXPECT_EQ(partners.size(), 20000u);  // a permutation
  double mean = 0, near_one = 0;
  for (float w : mix.weight) {
    ASSERT_TRUE(w >= 0.5F && w <= 1.0F);
    mean += static_cast<double>(w) / 20000;
    near_one += w > 0.9F ? 1.0 / 20000 : 0;
  }
  // Of max(l, 1 - l), l ~ Beta(0.3, 0.3): mean 0.8659, P(> 0.9) = 0.5654, by numerical integration.
  EXPECT_NEAR(mean, 0.8659, 0.005);
  EXPECT_NEAR(near_one, 0.5654, 0.012);
  EXPECT_NE(draw_spec_mix(20000, 0.3, 5, 2, 0).partner, mix.partner);
}

TEST(SpecMixup, LabelsAndSpectrogramsAlike) {
  const SpecMix mix{{1, 0, 2}, {0.75F, 0.5F, 1.0F}};
  const at::Tensor rows = at::tensor(std::vector<float>{1, 0, 0, 1, 8, 4}).view({3, 2});
  const at::Tensor want =
      at::tensor(std::vector<float>{0.75F, 0.25F, 0.5F, 0.5F, 8, 4}).view({3, 2});
  EXPECT_TRUE(at::allclose(mix_rows(rows, mix), want));
  EXPECT_EQ(mix_rows(rows.to(at::kDouble), mix).scalar_type(), at::kDouble);
}

}  // namespace
}  // namespace xp::frontend
