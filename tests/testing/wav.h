#pragma once

#include <filesystem>

namespace xp::testing {

/// Writes a sine of `hz` as WAV, 16 bits, `seconds` long, the same in every channel.
void write_wav(const std::filesystem::path& file, double seconds, double hz, int rate_hz = 32000,
               int channels = 1);

}  // namespace xp::testing
