#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class MaskPer { kClip, kBatch };
XP_ENUM_NAMES(MaskPer, "clip", "batch")

/// [augment]: what training does to waveforms and spectrograms. All of it is off by default.
struct AugmentOptions {
  static constexpr std::string_view kSection = "augment";
  static constexpr std::string_view kHelp =
      "augmentation of waveforms and spectrograms, in training only";

  int64_t freq_mask_bins = 0;
  int64_t time_mask_frames = 0;
  MaskPer mask_per = MaskPer::kClip;
  double wave_mix_p = 0.0;
  double wave_mix_beta = 10.0;
  bool wave_mix_max = false;
  double spec_mix_alpha = 0.0;
  double noise_max = 0.0;
  int64_t frame_roll = 0;
  int64_t gain_db = 0;
  int64_t sample_roll = 0;
  double ir_p = 0.0;
  std::string ir_root;
  int64_t ir_first = 0;
  int64_t ir_count = 0;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = AugmentOptions;
    v.field("freq_mask_bins", &O::freq_mask_bins, {.min = 0, .max = 512, .unit = "bins"},
            "one mask of mel bands, its width drawn from [0, this); 0 = off");
    v.field("time_mask_frames", &O::time_mask_frames, {.min = 0, .max = 100000, .unit = "frames"},
            "one mask of frames, its width drawn from [0, this); 0 = off");
    v.field("mask_per", &O::mask_per, {}, "masks are drawn for each clip or once for a batch");
    v.field("wave_mix_p", &O::wave_mix_p, {.min = 0, .max = 1},
            "probability that two waveforms are mixed");
    v.field("wave_mix_beta", &O::wave_mix_beta, {.min = 0, .max = 1000, .open_min = true},
            "the weight is drawn from Beta(this, this)");
    v.field("wave_mix_max", &O::wave_mix_max, {},
            "the larger of weight and 1 - weight goes to the first clip");
    v.field("spec_mix_alpha", &O::spec_mix_alpha, {.min = 0, .max = 1000},
            "spectrograms of a batch are mixed with weights from Beta(this, this); 0 = off");
    v.field("noise_max", &O::noise_max, {.min = 0, .max = 10},
            "uniform noise, its level drawn from [0, this), is added to the normalised "
            "spectrogram; 0 = off");
    v.field("frame_roll", &O::frame_roll, {.min = 0, .max = 100000, .unit = "frames"},
            "the spectrogram is rolled in time by a draw from [-this, this); 0 = off");
    v.field("gain_db", &O::gain_db, {.min = 0, .max = 60, .unit = "dB"},
            "gain drawn from the integers [-this, this); 0 = off");
    v.field("sample_roll", &O::sample_roll, {.min = 0, .max = 1e7, .unit = "samples"},
            "the waveform is rolled by a draw from [-this, this]; 0 = off");
    v.field("ir_p", &O::ir_p, {.min = 0, .max = 1},
            "probability of a convolution with an impulse response");
    v.field("ir_root", &O::ir_root, {.sweepable = false, .path = true},
            "folder of impulse responses (WAV)");
    v.field("ir_first", &O::ir_first, {.min = 0, .max = 1e6},
            "of the impulse responses in name order, the first that is used, counted from 0");
    v.field("ir_count", &O::ir_count, {.min = 0, .max = 1e6},
            "how many are used from there on; 0 = all (PaSST's offset window: 10)");
  }
};

}  // namespace xp::schema
