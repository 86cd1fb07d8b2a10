#include "tests/testing/wav.h"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <numbers>

namespace xp::testing {

void write_wav(const std::filesystem::path& file, double seconds, double hz, int rate_hz,
               int channels) {
  const auto frames = static_cast<uint32_t>(seconds * rate_hz);
  const auto frame_bytes = static_cast<uint16_t>(2 * channels);
  std::ofstream out(file, std::ios::binary);
  const auto put = [&](auto value) {
    out.write(reinterpret_cast<const char*>(&value), sizeof value);
  };
  out << "RIFF";
  put(36 + frames * frame_bytes);
  out << "WAVEfmt ";
  put(uint32_t{16});
  put(uint16_t{1});
  put(static_cast<uint16_t>(channels));
  put(static_cast<uint32_t>(rate_hz));
  put(static_cast<uint32_t>(rate_hz) * frame_bytes);
  put(frame_bytes);
  put(uint16_t{16});
  out << "data";
  put(frames * frame_bytes);
  for (uint32_t i = 0; i < frames; ++i) {
    const auto value =
        static_cast<int16_t>(8000 * std::sin(2 * std::numbers::pi * hz * i / rate_hz));
    for (int c = 0; c < channels; ++c) put(value);
  }
}

}  // namespace xp::testing
