#include "data/augment.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ops/log_mel.h"
#include "core/schema/augment.h"
#include "data/convolve.h"
#include "data/export.h"
#include "tests/data/faults.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

using xp::testing::TempDir;

TEST(WaveAugment, GainAndRollAreUniformOverTheirWholeRange) {
  WaveAugment augment;
  augment.gain_db = 3;
  augment.roll = 2;
  std::map<int64_t, int> gains;
  std::map<int64_t, int> rolls;
  for (uint64_t i = 0; i < 6000; ++i) {
    Rng rng(1, "test", 0, i);
    const WaveDraw draw = draw_wave(augment, 10, rng);
    ++gains[draw.clip.gain_db];
    ++rolls[draw.clip.roll];
    EXPECT_EQ(draw.partner, -1);
    EXPECT_EQ(draw.mix, 1.0F);
  }
  ASSERT_EQ(gains.size(), 6U);
  EXPECT_EQ(gains.begin()->first, -3);
  EXPECT_EQ(gains.rbegin()->first, 2);
  ASSERT_EQ(rolls.size(), 5U);
  EXPECT_EQ(rolls.begin()->first, -2);
  for (const auto& [gain, count] : gains) EXPECT_NEAR(count, 1000, 120) << gain;
  for (const auto& [roll, count] : rolls) EXPECT_NEAR(count, 1200, 130) << roll;
}

TEST(WaveAugment, MixingDrawsHaveTheirDistribution) {
  for (const bool max_rule : {false, true}) {
    WaveAugment augment;
    augment.mix_p = 0.5;
    augment.mix_beta = 2;
    augment.mix_max = max_rule;
    int mixed = 0;
    double sum = 0;
    double squares = 0;
    std::map<int64_t, int> partners;
    const int n = 20000;
    for (int i = 0; i < n; ++i) {
      Rng rng(1, "test", 0, static_cast<uint64_t>(i));
      const WaveDraw draw = draw_wave(augment, 4, rng);
      if (draw.partner < 0) continue;
      ++mixed;
      ++partners[draw.partner];
      sum += static_cast<double>(draw.mix);
      squares += static_cast<double>(draw.mix) * static_cast<double>(draw.mix);
      if (max_rule) {
        ASSERT_GE(draw.mix, 0.5F);
      }
    }
    EXPECT_NEAR(mixed, n / 2, 300);
    EXPECT_EQ(partners.size(), 4U);
    const double mean = sum / mixed;
    const double variance = squares / mixed - mean * mean;
    // Beta(2, 2): mean 1/2, variance 1/20; max(l, 1 - l) has mean 11/16, E[l^2] = 1/20 + 1/4 - 2
    // (1/2 - 11/16)^.. by symmetry.
    EXPECT_NEAR(mean, max_rule ? 0.6875 : 0.5, 0.01);
    if (!max_rule) {
      EXPECT_NEAR(variance, 0.05, 0.003);
    }
  }
}

TEST(WaveAugment, OneOptionDoesNotMoveAnothersDraws) {
  WaveAugment plain;
  plain.mix_p = 0.5;
  WaveAugment more = plain;
  more.gain_db = 6;
  more.roll = 100;
  for (uint64_t i = 0; i < 100; ++i) {
    Rng a(1, "test", 0, i);
    Rng b(1, "test", 0, i);
    const WaveDraw first = draw_wave(plain, 50, a);
    const WaveDraw second = draw_wave(more, 50, b);
    EXPECT_EQ(first.partner, second.partner);
    EXPECT_EQ(first.mix, second.mix);
  }
}

TEST(WaveAugment, RollAndGain) {
  std::vector<float> wave = {1, 2, 3, 4, 5};
  roll_wave(wave, 2);
  EXPECT_EQ(wave, (std::vector<float>{4, 5, 1, 2, 3}));
  roll_wave(wave, -2);
  EXPECT_EQ(wave, (std::vector<float>{1, 2, 3, 4, 5}));
  apply_clip({}, {-1, 6, 0}, wave);
  EXPECT_NEAR(wave[0], std::pow(10.0, 0.3), 1e-6);
}

TEST(WaveAugment, ConvolutionIsThePlainSum) {
  Rng rng(1, "test");
  for (const auto& [n, m] :
       {std::pair<size_t, size_t>{1, 1}, {50, 7}, {3000, 200}, {5000, 3000}, {100, 400}}) {
    std::vector<float> x(n);
    std::vector<float> h(m);
    for (float& v : x) v = static_cast<float>(rng.uniform(-1, 1));
    for (float& v : h) v = static_cast<float>(rng.uniform(-1, 1));
    const auto got = convolve_head(x, h);
    ASSERT_EQ(got.size(), n);
    double worst = 0;
    for (size_t i = 0; i < n; ++i) {
      double want = 0;
      for (size_t k = 0; k < m && k <= i; ++k)
        want += static_cast<double>(h[k]) * static_cast<double>(x[i - k]);
      worst = std::max(worst, std::abs(want - static_cast<double>(got[i])));
    }
    EXPECT_LT(worst, 1e-4) << n << " " << m;
  }
}

TEST(WaveAugment, MissingImpulseResponses) {
  schema::AugmentOptions options;
  options.ir_p = 0.5;
  const auto message = [&] {
    try {
      wave_augment(options, 16000);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(),
            "augment.ir_p is set, but not augment.ir_root, the folder of impulse responses");
  options.ir_root = "/nowhere";
  EXPECT_EQ(message(), "augment.ir_root: there is no folder /nowhere");
}

TEST(WaveAugment, AWindowOfTheImpulseResponses) {
  const TempDir folder;
  schema::AugmentOptions options;
  options.ir_p = 0.5;
  options.ir_root = folder.path().string();
  const auto read = [&](int64_t first, int64_t count) {
    options.ir_first = first;
    options.ir_count = count;
    const auto irs = wave_augment(options, 16000).irs;
    std::vector<size_t> lengths;
    for (const auto& wave : irs->waves) lengths.push_back(wave.size());
    return lengths;
  };
  const auto message = [&](int64_t first, int64_t count) {
    try {
      read(first, count);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(0, 0), "augment.ir_root: no sound file in " + folder.path().string());
  for (size_t i = 0; i < 5; ++i)
    write_wav(folder / ("ir" + std::to_string(i) + ".wav"), std::vector<float>(10 + i, 0.5F),
              16000);
  EXPECT_EQ(read(0, 0), (std::vector<size_t>{10, 11, 12, 13, 14}));
  EXPECT_EQ(read(1, 3), (std::vector<size_t>{11, 12, 13}));
  EXPECT_EQ(read(3, 0), (std::vector<size_t>{13, 14}));
  EXPECT_EQ(message(3, 3),
            "augment.ir_first = 3, augment.ir_count = 3: there are 5 impulse responses in " +
                folder.path().string());
}

TEST(WaveAugment, AResponseOfWhichNothingIsLeftIsNamed) {
  const TempDir folder;
  const std::vector<float> one = {1.0F};
  write_wav(folder / "click.wav", one, 48000);
  EXPECT_EQ(read_impulse_responses(folder.path(), 48000, 0, 0)->waves[0].size(), 1U);
  EXPECT_EQ(testing::message_of([&] { read_impulse_responses(folder.path(), 16000, 0, 0); }),
            "impulse response " + (folder / "click.wav").string() +
                ": too short, no sample of it is left at 16000 Hz");
}

TEST(WaveMixParity, Fixtures) {
  xp::testing::expect_parity(
      {"train/mixup"},
      {{"train/mixup", [](const xp::testing::Case& c, xp::testing::Report& report) {
          const auto a = c.at("input/wave_a").floats();
          const auto b = c.at("input/wave_b").floats();
          const auto l = c.json.at("waveform_l").get<double>();
          for (const auto& [name, array] : c.arrays) {
            if (!name.starts_with("output/")) continue;
            if (name == "output/wave_passt") {
              std::vector<float> wave = a;
              mix_waves(wave, b, static_cast<float>(std::max(l, 1 - l)));
              report.compare(name, wave);
            } else if (name.starts_with("output/ast_fbank_")) {
              // AST's loader gives the spectrogram of the mixed clip, so that is what is compared.
              const auto& lengths =
                  c.json.at("ast_lengths").at(name.substr(std::string("output/ast_fbank_").size()));
              std::vector<float> wave(a.begin(), a.begin() + lengths[0].get<std::ptrdiff_t>());
              mix_waves(wave, std::span(b).first(lengths[1].get<size_t>()), static_cast<float>(l));
              const ops::LogMel mel(ops::kaldi_options());
              const int64_t frames = array.shape[0];
              const int64_t bins = array.shape[1];
              std::vector<float> rows(static_cast<size_t>(frames * bins));
              mel.run(wave.data(), static_cast<int64_t>(wave.size()), rows.data(), frames, frames);
              std::vector<float> turned(rows.size());
              for (int64_t f = 0; f < bins; ++f) {
                for (int64_t t = 0; t < frames; ++t)
                  turned[static_cast<size_t>(t * bins + f)] =
                      rows[static_cast<size_t>(f * frames + t)];
              }
              // The front end's own tolerance: log-mel in float32 is off by up to 6e-4 in quiet
              // bins.
              report.compare(name, turned, xp::testing::Tolerance{2e-3, 0});
            } else if (name == "output/wave_passt_y") {
              const auto y = c.at("input/y").floats();
              const auto k = static_cast<size_t>(array.size());
              const auto m = static_cast<float>(std::max(l, 1 - l));
              std::vector<float> mixed(k);
              for (size_t i = 0; i < k; ++i) mixed[i] = m * y[i] + (1 - m) * y[k + i];
              report.compare(name, mixed);
            } else {
              report.elsewhere(name, "core/frontend and core/train");
            }
          }
        }}});
}

}  // namespace
}  // namespace xp::data
