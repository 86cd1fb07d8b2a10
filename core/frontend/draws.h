#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/frontend/spec_augment.h"
#include "core/frontend/spec_mixup.h"

namespace xp::frontend {

/// Which random numbers a batch gets: a pure function of these, whatever the rank, worker or
/// device.
struct DrawKey {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t step = 0;      ///< of the epoch: batch-wide draws
  uint64_t position = 0;  ///< global position of the batch's first clip: per-clip draws
};

/// Filter edges of one batch in training (AugmentMelSTFT).
struct Band {
  double low_hz = 0;
  double high_hz = 0;
};

/// Uniform noise over the whole spectrogram, then a circular shift along time (AST
/// src/dataloader.py).
struct NoiseRoll {
  float amplitude = 0;     ///< a value of the spectrogram gets amplitude * U[0, 1)
  uint64_t noise_key = 0;  ///< of the U: see ops/uniform_noise.h
  int64_t shift = 0;       ///< frame t moves to (t + shift) mod T
};

/// Everything random that the front end does to one batch of B clips.
struct Draws {
  std::optional<Band> band;
  std::vector<Masks> masks;           ///< B entries, or 1 for the whole batch, or none
  std::vector<NoiseRoll> noise_roll;  ///< B entries or none
  std::optional<SpecMix> mix;         ///< labels and teacher rows have to be mixed alike: mix_rows
};

}  // namespace xp::frontend
