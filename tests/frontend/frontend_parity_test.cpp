// The front end as a recipe describes it, and its ATen version, against the originals. The draws
// are those of the originals: the same seed of the same generator, in the same order.
#include <sstream>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/frontend/frontend.h"
#include "core/frontend/log_mel_device.h"
#include "core/ops/log_mel.h"
#include "core/schema/augment.h"
#include "core/schema/frontend.h"
#include "tests/ops/kaldi_options_of.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::frontend {
namespace {

using testing::Array;
using testing::Case;
using testing::floats_of;
using testing::Report;
using testing::tensor_of;

/// [T, F] of a batch of one, as AST keeps it.
at::Tensor frames_first(const at::Tensor& mel) { return mel[0].t().contiguous(); }

schema::FrontendOptions kaldi_recipe(const Case& expected) {
  auto options = schema::FrontendOptions::of_kind(schema::FrontendKind::kKaldi);
  options.rate_hz = expected.json.at("sample_rate").get<int64_t>();
  options.mel_bins = expected.json.at("num_mel_bins").get<int64_t>();
  options.low_hz = expected.json.at("low_freq").get<double>();
  options.frames = 0;
  options.norm_mean = 0;
  options.norm_std = 0.5;
  return options;
}

void kaldi(const Case& expected, Report& report) {
  if (expected.json.contains("variants")) {
    for (const auto& [name, text] : expected.json.at("variants").items()) {
      report.elsewhere("output/" + name, "core/ops, and the ATen version below");
    }
    return;
  }
  auto options = kaldi_recipe(expected);
  const at::Tensor wave = tensor_of(expected.at("input/waveform")).unsqueeze(0);
  const Frontend plain(options, {});
  report.compare("output/fbank", floats_of(frames_first(plain.forward(Waves::whole(wave)).mel)));
  for (const auto& [length, norm] : expected.json.at("normalisation").items()) {
    options.frames = std::stoi(length);
    options.norm_mean = norm.at("mean").get<double>();
    options.norm_std = norm.at("std").get<double>();
    const Frontend normalised(options, {});
    report.compare("output/normalised_" + length,
                   floats_of(frames_first(normalised.forward(Waves::whole(wave)).mel)));
  }
}

schema::FrontendOptions mel_recipe(const Case& expected) {
  const testing::Settings& arguments = expected.arguments;
  auto options = schema::FrontendOptions::of_kind(schema::FrontendKind::kAugmentMel);
  const bool passt = expected.json.at("source_repo").get<std::string>() == "kkoutini/PaSST";
  options.rate_hz = arguments.value("sr", int64_t{32000});
  options.mel_bins = arguments.value("n_mels", int64_t{128});
  options.window_samples = arguments.value("win_length", int64_t{800});
  options.hop_samples = arguments.value("hopsize", int64_t{320});
  options.fft_size = arguments.value("n_fft", int64_t{1024});
  options.low_hz = arguments.value("fmin", 0.0);
  options.high_hz = arguments.value("fmax", 0.0);
  options.low_jitter_hz = arguments.value("fmin_aug_range", passt ? 1.0 : 10.0);
  options.high_jitter_hz = arguments.value("fmax_aug_range", passt ? 1000.0 : 2000.0);
  options.clip_s = 0;
  // Masks are their own cases, and the original passes over the last two.
  arguments.without_effect({"freqm", "timem", "norm", "htk"});
  return options;
}

void augment_mel(const Case& expected, Report& report) {
  const auto options = mel_recipe(expected);
  const Frontend frontend(options, {});
  const at::Tensor waves = tensor_of(expected.at("input/waveform"));
  Draws draws;
  const bool training = expected.json.at("mode").get<std::string>() == "train";
  if (training) {
    at::manual_seed(expected.json.at("seed").get<uint64_t>());
    const auto low = at::randint(static_cast<int64_t>(options.low_jitter_hz), {1}).item<int64_t>();
    const auto high =
        at::randint(static_cast<int64_t>(options.high_jitter_hz), {1}).item<int64_t>();
    const double top = static_cast<double>(options.rate_hz / 2) - options.high_jitter_hz / 2;
    draws.band = Band{options.low_hz + static_cast<double>(low),
                      top + options.high_jitter_hz / 2 - static_cast<double>(high)};
    report.compare_value("fmin", draws.band->low_hz, expected.json.at("drawn_fmin").get<double>());
    report.compare_value("fmax", draws.band->high_hz, expected.json.at("drawn_fmax").get<double>());
  }
  const at::Tensor mel = frontend.forward(Waves::whole(waves), training ? &draws : nullptr).mel;
  report.compare("output/melspec", floats_of(mel));
}

TEST(FrontendParity, Fixtures) {
  at::set_num_threads(1);
  testing::expect_parity(
      {"frontend"}, {{"frontend/kaldi_fbank", kaldi}, {"frontend/augment_mel_stft", augment_mel}});
}

void kaldi_device(const Case& expected, Report& report) {
  const Array& wave = expected.at("input/waveform");
  const at::Tensor waves = tensor_of(wave).unsqueeze(0);
  const std::vector<int64_t> samples = {wave.shape[0]};
  if (expected.json.contains("variants")) {
    for (const auto& [name, text] : expected.json.at("variants").items()) {
      const LogMelDevice device(ops::kaldi_options_of(text.get<std::string>()));
      const Array& want = expected.at("output/" + name);
      report.compare("output/" + name,
                     floats_of(frames_first(device.run(waves, samples, want.shape[0]))));
    }
    return;
  }
  ops::LogMelOptions options = ops::kaldi_options();
  options.mel_bins = expected.json.at("num_mel_bins").get<int64_t>();
  const LogMelDevice device(options);
  report.compare(
      "output/fbank",
      floats_of(frames_first(device.run(waves, samples, ops::LogMel(options).frames(samples[0])))));
  for (const auto& [length, norm] : expected.json.at("normalisation").items()) {
    const ops::Affine affine{norm.at("mean").get<float>(), 1 / (2 * norm.at("std").get<float>())};
    report.compare("output/normalised_" + length,
                   floats_of(frames_first(device.run(waves, samples, std::stoi(length), affine))));
  }
}

void augment_mel_device(const Case& expected, Report& report) {
  const auto recipe = mel_recipe(expected);
  ops::LogMelOptions options = ops::augment_mel_options();
  options.mel_bins = recipe.mel_bins;
  options.window_samples = recipe.window_samples;
  options.hop_samples = recipe.hop_samples;
  options.fft_size = recipe.fft_size;
  const Array& waves = expected.at("input/waveform");
  const std::vector<int64_t> samples(static_cast<size_t>(waves.shape[0]), waves.shape[1]);
  const LogMelDevice device(options);
  report.compare(
      "output/melspec",
      floats_of(device.run_band(tensor_of(waves), samples, expected.at("output/melspec").shape[2],
                                {-4.5F, 0.2F}, 0, expected.json.at("fmin").get<double>(),
                                expected.json.at("fmax").get<double>())));
}

TEST(LogMelDeviceParity, Fixtures) {
  at::set_num_threads(1);
  testing::expect_parity({"frontend"}, {{"frontend/kaldi_fbank", kaldi_device},
                                        {"frontend/augment_mel_stft", augment_mel_device}});
}

void spec_augment(const Case& expected, Report& report) {
  const int64_t freq = expected.json.at("freqm").get<int64_t>(),
                time = expected.json.at("timem").get<int64_t>();
  for (const std::string batch : {"", "_batch"}) {
    at::Tensor mel = tensor_of(expected.at("input/spec" + batch)).clone();
    const int64_t clips = mel.size(0);
    at::manual_seed(expected.json.at(batch.empty() ? "seed_single" : "seed_batch").get<uint64_t>());
    const at::Tensor u[4] = {at::rand({clips}), at::rand({clips}), at::rand({clips}),
                             at::rand({clips})};
    std::vector<Masks> masks;
    std::vector<int64_t> bins, frames;
    for (int64_t b = 0; b < clips; ++b) {
      const auto value = [&](int i) { return u[i][b].item<float>(); };
      Masks m{mask_stretch(value(0), value(1), freq, mel.size(1)),
              mask_stretch(value(2), value(3), time, mel.size(2))};
      bins.insert(bins.end(), {m.bins.start, m.bins.width});
      frames.insert(frames.end(), {m.frames.start, m.frames.width});
      masks.push_back(m);
    }
    report.compare("output/freq_start_width" + batch, bins);
    report.compare("output/time_start_width" + batch, frames);
    apply_masks(mel, masks, 0.0F);
    report.compare("output/masked" + batch, floats_of(mel));
  }
}

TEST(SpecAugmentParity, Fixtures) {
  testing::expect_parity({"train/specaugment"}, {{"train/specaugment", spec_augment}});
}

/// AST's waveform mixing, as data/augment.h does it, so that what the front end makes of it can be
/// compared here.
at::Tensor ast_mixed(const at::Tensor& a, const at::Tensor& b, double l) {
  at::Tensor other = b - b.mean();
  if (other.size(0) < a.size(0)) other = at::constant_pad_nd(other, {0, a.size(0) - other.size(0)});
  const at::Tensor mixed = (a - a.mean()) * l + other.narrow(0, 0, a.size(0)) * (1 - l);
  return mixed - mixed.mean();
}

void mixup(const Case& expected, Report& report) {
  SpecMix mix;
  mix.partner = expected.at("input/perm").i64;
  mix.weight = expected.at("input/lam").f32;
  report.compare("output/x_mixed", floats_of(mix_rows(tensor_of(expected.at("input/x")), mix)));
  report.compare("output/y_mixed", floats_of(mix_rows(tensor_of(expected.at("input/y")), mix)));

  auto options = schema::FrontendOptions::of_kind(schema::FrontendKind::kKaldi);
  options.norm_mean = 0;
  options.norm_std = 0.5;
  const at::Tensor a = tensor_of(expected.at("input/wave_a")),
                   b = tensor_of(expected.at("input/wave_b"));
  for (const auto& [name, lengths] : expected.json.at("ast_lengths").items()) {
    options.frames = expected.at("output/ast_fbank_" + name).shape[0];
    const at::Tensor wave = ast_mixed(a.narrow(0, 0, lengths[0].get<int64_t>()),
                                      b.narrow(0, 0, lengths[1].get<int64_t>()),
                                      expected.json.at("waveform_l").get<double>());
    // The log-mel of quiet bins has the front end's tolerance, not that of a weighted sum.
    report.compare(
        "output/ast_fbank_" + name,
        floats_of(frames_first(Frontend(options, {}).forward(Waves::whole(wave.unsqueeze(0))).mel)),
        testing::Tolerance{2e-3, 1e-4});
  }
  for (const char* name : {"bce_loss", "esc50_ce_loss", "openmic_loss_mixup", "openmic_loss"}) {
    report.elsewhere(std::string("output/") + name, "core/train");
  }
  for (const char* name : {"wave_passt", "wave_passt_y"})
    report.elsewhere(std::string("output/") + name, "data");
}

TEST(SpecMixupParity, Fixtures) {
  testing::expect_parity({"train/mixup"}, {{"train/mixup", mixup}});
}

}  // namespace
}  // namespace xp::frontend
