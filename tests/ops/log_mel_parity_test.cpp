// The CPU log-mel against torchaudio's Kaldi fbank and PaSST's and EfficientAT's AugmentMelSTFT.
#include <numeric>

#include <gtest/gtest.h>

#include "core/ops/log_mel.h"
#include "tests/ops/kaldi_options_of.h"
#include "tests/testing/fixtures.h"

namespace xp::ops {
namespace {

using testing::Case;
using testing::Report;

/// [T, F] of one clip, as Kaldi lays it out.
std::vector<float> rows_of_frames(const LogMel& plan, const std::vector<float>& wave,
                                  int64_t frames, Affine affine = {}) {
  const int64_t bins = plan.bins();
  std::vector<float> mel(static_cast<size_t>(bins * frames));
  plan.run(wave.data(), static_cast<int64_t>(wave.size()), mel.data(), frames, frames, affine);
  std::vector<float> out(mel.size());
  for (int64_t f = 0; f < bins; ++f) {
    for (int64_t t = 0; t < frames; ++t)
      out[static_cast<size_t>(t * bins + f)] = mel[static_cast<size_t>(f * frames + t)];
  }
  return out;
}

LogMel at_set(const LogMelOptions& options, const std::string& set) {
  return LogMel(options).on(set);
}

void compare_variants(const Case& expected, Report& report, const std::string& set) {
  for (const auto& [name, text] : expected.json.at("variants").items()) {
    const auto& want = expected.at("output/" + name);
    const LogMel plan = at_set(kaldi_options_of(text.get<std::string>()), set);
    const auto& wave = expected.at("input/waveform").f32;
    report.compare_value(name + " frames",
                         static_cast<double>(plan.frames(static_cast<int64_t>(wave.size()))),
                         static_cast<double>(want.shape.at(0)));
    report.compare("output/" + name, rows_of_frames(plan, wave, want.shape.at(0)));
  }
}

void kaldi(const Case& expected, Report& report, const std::string& set) {
  if (expected.json.contains("variants")) return compare_variants(expected, report, set);
  LogMelOptions options = kaldi_options();
  options.rate_hz = expected.json.at("sample_rate").get<double>();
  options.mel_bins = expected.json.at("num_mel_bins").get<int64_t>();
  options.low_hz = expected.json.at("low_freq").get<double>();
  options.high_hz = 0;
  const LogMel plan = at_set(options, set);
  const auto& wave = expected.at("input/waveform").f32;
  const int64_t frames = plan.frames(static_cast<int64_t>(wave.size()));
  report.compare_value("frames", static_cast<double>(frames),
                       static_cast<double>(expected.at("output/fbank").shape[0]));
  report.compare("output/fbank", rows_of_frames(plan, wave, frames));
  for (const auto& [length, norm] : expected.json.at("normalisation").items()) {
    const float mean = norm.at("mean").get<float>();
    const Affine affine{mean, 1 / (2 * norm.at("std").get<float>())};
    report.compare("output/normalised_" + length,
                   rows_of_frames(plan, wave, std::stoi(length), affine));
  }
  report.compare("param/window", window_values(options), testing::Tolerance{2e-7, 0});
  report.compare("param/mel_banks", mel_banks(options), testing::Tolerance{2e-5, 0});
}

void augment_mel(const Case& expected, Report& report, const std::string& set) {
  const testing::Settings& arguments = expected.arguments;
  LogMelOptions options = augment_mel_options();
  options.rate_hz = arguments.value("sr", 32000.0);
  options.mel_bins = arguments.value("n_mels", int64_t{128});
  options.window_samples = arguments.value("win_length", int64_t{800});
  options.hop_samples = arguments.value("hopsize", int64_t{320});
  options.fft_size = arguments.value("n_fft", int64_t{1024});
  // What the original makes of these four.
  arguments.without_effect({"fmin", "fmax", "fmin_aug_range", "fmax_aug_range"});
  options.low_hz = expected.json.at("fmin").get<double>();
  options.high_hz = expected.json.at("fmax").get<double>();
  // Masks are drawn in training alone, and the original passes over the last two.
  arguments.without_effect({"freqm", "timem", "norm", "htk"});
  const LogMel plan = at_set(options, set);
  const auto& waves = expected.at("input/waveform");
  const auto& want = expected.at("output/melspec");
  const int64_t samples = waves.shape.at(1), frames = want.shape.at(2);
  report.compare_value("frames", static_cast<double>(plan.frames(samples)),
                       static_cast<double>(frames));
  std::vector<float> mel(want.f32.size());
  for (int64_t b = 0; b < waves.shape[0]; ++b) {
    plan.run(waves.f32.data() + b * samples, samples, mel.data() + b * plan.bins() * frames, frames,
             frames, {-4.5F, 1 / 5.0F});
  }
  report.compare("output/melspec", mel);
  report.compare("param/window", window_values(options), testing::Tolerance{2e-7, 0});
  std::vector<float> banks;  // the original has a column of zeros for the Nyquist bin
  const int64_t half = options.fft_size / 2;
  const std::vector<float> dense = mel_banks(options);
  for (int64_t m = 0; m < options.mel_bins; ++m) {
    banks.insert(banks.end(), dense.begin() + m * half, dense.begin() + (m + 1) * half);
    banks.push_back(0);
  }
  report.compare("param/mel_banks", banks, testing::Tolerance{2e-5, 0});
}

class LogMelParity : public ::testing::TestWithParam<const char*> {};

TEST_P(LogMelParity, Fixtures) {
  const std::string set = GetParam();
  try {
    at_set(kaldi_options(), set);
  } catch (const std::exception& error) {
    GTEST_SKIP() << error.what();
  }
  testing::expect_parity(
      {"frontend"},
      {{"frontend/kaldi_fbank", [&](const Case& c, Report& report) { kaldi(c, report, set); }},
       {"frontend/augment_mel_stft",
        [&](const Case& c, Report& report) { augment_mel(c, report, set); }}});
}

INSTANTIATE_TEST_SUITE_P(Every, LogMelParity, ::testing::Values("baseline", "avx2", "avx512"),
                         [](const auto& set) { return std::string(set.param); });

}  // namespace
}  // namespace xp::ops
