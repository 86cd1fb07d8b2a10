#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/clip.h"

namespace xp::data {

/// The sounds of the synthetic set: ten kinds (chirps, clicks, noise bands, modulated tones,
/// harmonic stacks, sirens, bursts), repeated in other pitch registers beyond ten. Pitch, timing
/// and level vary from clip to clip and a quiet background is always there, so the task needs
/// learning but a small model can do it.
///
/// Everything is a sum of sinusoids below 3.7 kHz, a pure function of the source: the same sound at
/// any rate.
std::vector<float> synthesize(const SyntheticSource& source, int64_t rate_hz);

/// "rising_chirp", .., and "rising_chirp_2" for the next register.
std::string synthetic_class_name(int32_t sound);

}  // namespace xp::data
