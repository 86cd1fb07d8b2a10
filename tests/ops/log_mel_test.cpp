#include "core/ops/log_mel.h"

#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/ops/instruction_set.h"

namespace xp::ops {
namespace {

std::vector<std::string> sets() {
  std::vector<std::string> out;
  for (const char* name : {"baseline", "avx2", "avx512"}) {
    if (kernel_named(name)) out.emplace_back(name);
  }
  return out;
}

std::vector<float> sound(int64_t samples, uint64_t seed = 1) {
  Rng rng(seed, "test");
  std::vector<float> out;
  for (int64_t i = 0; i < samples; ++i) {
    out.push_back(static_cast<float>(0.3 * std::sin(0.05 * static_cast<double>(i)) +
                                     0.1 * rng.uniform(-1, 1)));
  }
  return out;
}

std::vector<float> run(const LogMel& plan, const std::vector<float>& wave, int64_t frames = -1) {
  const auto samples = static_cast<int64_t>(wave.size());
  if (frames < 0) frames = plan.frames(samples);
  std::vector<float> out(static_cast<size_t>(plan.bins() * frames), NAN);
  plan.run(wave.data(), samples, out.data(), frames, frames);
  return out;
}

/// A frame's mel energies by the definition, in double.
std::vector<double> plain_mel(const LogMelOptions& o, const std::vector<float>& wave,
                              int64_t start) {
  const std::vector<float> window = window_values(o), banks = mel_banks(o);
  const int64_t half = o.fft_size / 2;
  std::vector<double> mel(static_cast<size_t>(o.mel_bins), 0.0);
  for (int64_t k = 0; k < half; ++k) {
    std::complex<double> sum = 0;
    for (int64_t i = 0; i < o.window_samples; ++i) {
      const double x = static_cast<double>(wave[static_cast<size_t>(start + i)]) *
                       static_cast<double>(window[static_cast<size_t>(i)]);
      const double angle = -2 * std::numbers::pi * static_cast<double>((k * i) % o.fft_size) /
                           static_cast<double>(o.fft_size);
      sum += std::polar(x, angle);
    }
    for (int64_t m = 0; m < o.mel_bins; ++m) {
      mel[static_cast<size_t>(m)] +=
          static_cast<double>(banks[static_cast<size_t>(m * half + k)]) * std::norm(sum);
    }
  }
  return mel;
}

TEST(LogMel, AnyEvenFftSize) {
  for (const int64_t size : {2, 6, 10, 22, 26, 48, 60, 98, 202, 256, 400, 500, 512, 882, 1024}) {
    SCOPED_TRACE("fft size " + std::to_string(size));
    LogMelOptions o;
    o.fft_size = size;
    o.window_samples = std::max<int64_t>(1, size - size / 5);
    o.hop_samples = std::max<int64_t>(1, size / 3);
    o.mel_bins = std::min<int64_t>(12, size);
    o.remove_frame_mean = false;
    o.preemphasis = Preemphasis::kNone;
    o.log = false;
    const auto wave = sound(o.window_samples + 20 * o.hop_samples);
    for (const std::string& set : sets()) {
      SCOPED_TRACE(set);
      const LogMel plan = LogMel(o).on(set);
      const int64_t frames = plan.frames(static_cast<int64_t>(wave.size()));
      ASSERT_EQ(frames, 21);
      const auto mel = run(plan, wave);
      for (const int64_t t : {int64_t{0}, int64_t{15}, int64_t{16}, frames - 1}) {
        const auto want = plain_mel(o, wave, t * o.hop_samples);
        double largest = 1e-9;
        for (double w : want) largest = std::max(largest, w);
        for (int64_t m = 0; m < o.mel_bins; ++m) {
          ASSERT_NEAR(static_cast<double>(mel[static_cast<size_t>(m * frames + t)]),
                      want[static_cast<size_t>(m)], 3e-6 * largest)
              << "bin " << m << ", frame " << t;
        }
      }
    }
  }
}

TEST(LogMel, Avx2AndAvx512GiveTheSameBits) {
  if (sets().size() < 3) GTEST_SKIP() << "this machine has no AVX-512";
  for (const auto& o : {kaldi_options(), augment_mel_options()}) {
    const auto wave = sound(40001);
    const auto a = run(LogMel(o).on("avx2"), wave), b = run(LogMel(o).on("avx512"), wave);
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
    const auto c = run(LogMel(o).on("baseline"), wave);
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], c[i], 2e-3);
  }
}

TEST(LogMel, AFrameDependsOnNothingButTheClip) {
  const LogMel plan{augment_mel_options()};
  const auto wave = sound(32000);
  const auto whole = run(plan, wave);
  const int64_t frames = plan.frames(32000);
  // Fewer frames are asked for, so that the last group is cut elsewhere.
  for (const int64_t fewer : {1, 7, 16, 33}) {
    const auto part = run(plan, wave, fewer);
    for (int64_t f = 0; f < plan.bins(); ++f) {
      for (int64_t t = 0; t < fewer; ++t) {
        ASSERT_EQ(part[static_cast<size_t>(f * fewer + t)],
                  whole[static_cast<size_t>(f * frames + t)]);
      }
    }
  }
  // Frames that touch neither end are those of the signal moved by a hop.
  const std::vector<float> moved(wave.begin() + 320, wave.end());
  const auto later = run(plan, moved);
  const int64_t less = plan.frames(32000 - 320);
  for (int64_t f = 0; f < plan.bins(); ++f) {
    for (int64_t t = 3; t < less - 3; ++t) {
      ASSERT_EQ(later[static_cast<size_t>(f * less + t)],
                whole[static_cast<size_t>(f * frames + t + 1)]);
    }
  }
}

TEST(LogMel, ThreadsShareAPlan) {
  const LogMel plan{kaldi_options()};
  const auto wave = sound(20000);
  const auto want = run(plan, wave);
  std::vector<std::vector<float>> got(4);
  std::vector<std::thread> threads;
  for (auto& out : got) threads.emplace_back([&] { out = run(plan, wave); });
  for (auto& thread : threads) thread.join();
  for (const auto& out : got) EXPECT_EQ(out, want);
}

TEST(LogMel, CountsFrames) {
  LogMelOptions kaldi = kaldi_options();
  LogMelOptions mirrored = kaldi_options();
  mirrored.framing = Framing::kMirrored;
  struct Row {
    const char* name;
    LogMelOptions options;
    int64_t samples, frames;
  };
  const Row rows[] = {{"10 s of AST", kaldi, 160000, 998},
                      {"one window", kaldi, 400, 1},
                      {"too short", kaldi, 399, 0},
                      {"nothing", kaldi, 0, 0},
                      {"snip_edges off", mirrored, 16000, 100},
                      {"10 s of PaSST", augment_mel_options(), 320000, 1000},
                      {"two samples", augment_mel_options(), 2, 1},
                      {"one sample", augment_mel_options(), 1, 0}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(LogMel(row.options).frames(row.samples), row.frames);
    for (float v : run(LogMel(row.options), sound(row.samples))) EXPECT_TRUE(std::isfinite(v));
  }
}

TEST(LogMel, PadsAndCuts) {
  const LogMel plan{kaldi_options()};
  const auto wave = sound(16000);  // 98 frames
  std::vector<float> out(static_cast<size_t>(plan.bins() * 110), NAN);
  plan.run(wave.data(), 16000, out.data(), 110, 105, {-4, 0.5F}, 1);
  const auto plain = run(plan, wave);
  for (int64_t f = 0; f < plan.bins(); ++f) {
    const auto at = [&](int64_t t) { return out[static_cast<size_t>(f * 110 + t)]; };
    EXPECT_EQ(at(97), (plain[static_cast<size_t>(f * 98 + 97)] + 4) * 0.5F);
    EXPECT_EQ(at(98), 2.5F);  // (1 - -4) * 0.5
    EXPECT_EQ(at(104), 2.5F);
    EXPECT_TRUE(std::isnan(at(105)));  // not ours
  }
}

TEST(LogMel, BadSamplesShow) {
  auto wave = sound(16000);
  wave[8000] = NAN;
  LogMelOptions o = kaldi_options();
  o.remove_clip_mean = false;
  const auto mel = run(LogMel(o), wave);
  const auto frames = static_cast<size_t>(LogMel(o).frames(16000));
  EXPECT_TRUE(std::isfinite(mel[10]));
  EXPECT_TRUE(std::isnan(mel[5 * frames + 49]));  // its window covers sample 8000
}

TEST(LogMel, SaysWhatIsWrong) {
  const auto message = [](auto change) {
    LogMelOptions o = kaldi_options();
    change(o);
    try {
      LogMel plan(o);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([](auto& o) { o.fft_size = 511; }),
            "fft_size is 511: it has to be an even number");
  EXPECT_EQ(message([](auto& o) { o.fft_size = 256; }),
            "fft_size is 256, smaller than window_samples, 400");
  EXPECT_EQ(message([](auto& o) { o.high_hz = 9000; }),
            "the mel filters reach from 20 Hz to 9000 Hz: they need 0 <= low < high <= 8000 Hz, "
            "half the sampling rate");
  EXPECT_EQ(message([](auto& o) { o.low_hz = 8000; }),
            "the mel filters reach from 8000 Hz to 8000 Hz: they need 0 <= low < high <= 8000 Hz, "
            "half the sampling rate");
  EXPECT_EQ(message([](auto& o) { o.log_floor = 0; }),
            "the log needs a floor or an offset above 0");
  EXPECT_EQ(message([](auto& o) { o.mel_bins = 0; }), "mel_bins has to be at least 1");
}

TEST(InstructionSet, EnvironmentLowersIt) {
  EXPECT_EQ(best_set("baseline"), "baseline");
  EXPECT_EQ(best_set(""), sets().back());
  EXPECT_EQ(best_set("avx512"), sets().back());
  EXPECT_EQ(best_set("avx2"), sets().size() > 1 ? "avx2" : "baseline");
  try {
    best_set("avx");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "EXP_CPU is 'avx': it can be baseline, avx2 or avx512");
  }
}

/// Distance in units of the last place of the true value.
double ulps(float got, double want) {
  const float near = static_cast<float>(want);
  const double unit = static_cast<double>(std::nextafter(std::fabs(near), INFINITY)) -
                      std::fabs(static_cast<double>(near));
  return std::fabs(static_cast<double>(got) - want) / unit;
}

/// Worst error of the log over every `step`-th positive normal float.
double worst_log_error(const Kernel& kernel, uint32_t step) {
  double worst = 0;
  std::vector<float> x(1 << 16), y(x.size());
  uint64_t bits = 0x00800000U;
  while (bits < 0x7f800000U) {
    size_t n = 0;
    for (; n < x.size() && bits < 0x7f800000U; ++n, bits += step) {
      const auto word = static_cast<uint32_t>(bits);
      std::memcpy(&x[n], &word, sizeof word);
    }
    kernel.log(x.data(), y.data(), static_cast<int64_t>(n));
    for (size_t i = 0; i < n; ++i)
      worst = std::max(worst, ulps(y[i], std::log(static_cast<double>(x[i]))));
  }
  return worst;
}

TEST(LogMel, LogIsWithinItsBound) {
  for (const std::string& set : sets())
    EXPECT_LT(worst_log_error(*kernel_named(set), 3001), 1.1) << set;
  float special[4] = {INFINITY, NAN, 1.0F, 2.0F}, out[4];
  best_kernel().log(special, out, 4);
  EXPECT_EQ(out[0], INFINITY);
  EXPECT_TRUE(std::isnan(out[1]));
  EXPECT_EQ(out[2], 0.0F);
}

TEST(LogMelStress, LogIsWithinItsBoundEverywhere) {
  for (const std::string& set : sets()) {
    const double worst = worst_log_error(*kernel_named(set), 1);
    std::printf("%s: worst error of the log %.3f ulp\n", set.c_str(), worst);
    EXPECT_LT(worst, 1.1) << set;
  }
}

}  // namespace
}  // namespace xp::ops
