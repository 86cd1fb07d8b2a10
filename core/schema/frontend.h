#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class FrontendKind { kKaldi, kAugmentMel };
XP_ENUM_NAMES(FrontendKind, "kaldi", "augment_mel")

/// [frontend]: waveform to log-mel. `kaldi` is AST's, `augment_mel` PaSST's and EfficientAT's.
struct FrontendOptions {
  static constexpr std::string_view kSection = "frontend";
  static constexpr std::string_view kHelp = "waveform to log-mel spectrogram";
  using Kind = FrontendKind;

  FrontendKind kind = FrontendKind::kKaldi;
  int64_t rate_hz = 16000;
  int64_t mel_bins = 128;
  int64_t window_samples = 400;
  int64_t hop_samples = 160;
  int64_t fft_size = 512;
  double low_hz = 20.0;
  double high_hz = 0.0;
  int64_t frames = 1024;
  double clip_s = 0.0;
  double norm_mean = -4.2677393;
  double norm_std = 4.5689974;
  std::string norm;
  double low_jitter_hz = 0.0;
  double high_jitter_hz = 0.0;

  static FrontendOptions of_kind(FrontendKind kind) {
    FrontendOptions o;
    o.kind = kind;
    if (kind == FrontendKind::kAugmentMel) {
      o.rate_hz = 32000;
      o.window_samples = 800;
      o.hop_samples = 320;
      o.fft_size = 1024;
      o.low_hz = 0.0;
      o.frames = 0;
      o.clip_s = 10.0;
      o.norm_mean = -4.5;
      o.norm_std = 2.5;
      o.low_jitter_hz = 10.0;
      o.high_jitter_hz = 2000.0;
    }
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = FrontendOptions;
    v.kind("kind", &O::kind, {},
           "kaldi: AST's filter bank; augment_mel: PaSST's and EfficientAT's");
    v.field("rate_hz", &O::rate_hz, {.min = 8000, .max = 48000, .unit = "Hz"},
            "sample rate; clips are resampled to it when shards are made");
    v.field("mel_bins", &O::mel_bins, {.min = 1, .max = 512}, "mel bands");
    v.field("window_samples", &O::window_samples, {.min = 16, .max = 65536, .unit = "samples"},
            "analysis window");
    v.field("hop_samples", &O::hop_samples, {.min = 1, .max = 65536, .unit = "samples"},
            "step between frames");
    v.field("fft_size", &O::fft_size, {.min = 16, .max = 65536},
            "points of the FFT, at least the window");
    v.field("low_hz", &O::low_hz, {.min = 0, .max = 24000, .unit = "Hz"},
            "lower edge of the lowest band");
    v.field("high_hz", &O::high_hz, {.min = 0, .max = 24000, .unit = "Hz"},
            "upper edge of the highest band; 0 = Nyquist (kaldi), Nyquist less half of "
            "high_jitter_hz (augment_mel)");
    v.field("frames", &O::frames, {.min = 0, .max = 100000, .unit = "frames"},
            "spectrogram cut or padded to this many frames, 0 = as long as the clip");
    v.field("clip_s", &O::clip_s, {.min = 0, .max = 3600, .unit = "s"},
            "waveform cut or padded to this length before the frontend, 0 = off");
    v.field("norm_mean", &O::norm_mean, {.min = -100, .max = 100},
            "mean taken off: (x - mean) / (2 std)");
    v.field("norm_std", &O::norm_std, {.min = 0, .max = 100, .open_min = true},
            "deviation divided by, twice");
    v.field("norm", &O::norm, {.sweepable = false, .input = true},
            "stats stage whose mean and deviation are used; excludes norm_mean and norm_std");
    v.field("low_jitter_hz", &O::low_jitter_hz,
            {.min = 0, .max = 8000, .unit = "Hz", .only = "augment_mel"},
            "in training low_hz is raised by a draw from [0, this)");
    v.field("high_jitter_hz", &O::high_jitter_hz,
            {.min = 0, .max = 8000, .unit = "Hz", .only = "augment_mel"},
            "in training high_hz is moved by a draw of this total width");
  }
};

}  // namespace xp::schema
