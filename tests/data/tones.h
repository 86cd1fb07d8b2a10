#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <vector>

#include <sndfile.h>

#include <gtest/gtest.h>

namespace xp::data::testing {

/// Writes `seconds` of a 440 Hz sine in a format of libsndfile, channel c at 1 / (c + 1) of the
/// level.
inline std::filesystem::path write_tone(const std::filesystem::path& file, int format, int rate,
                                        int channels, double seconds) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = format;
  SNDFILE* sound = sf_open(file.c_str(), SFM_WRITE, &info);
  EXPECT_NE(sound, nullptr) << sf_strerror(nullptr);
  const auto frames = static_cast<size_t>(std::llround(seconds * rate));
  std::vector<float> samples(frames * static_cast<size_t>(channels));
  for (size_t i = 0; i < frames; ++i) {
    const double x = 0.5 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / rate);
    for (int c = 0; c < channels; ++c)
      samples[i * static_cast<size_t>(channels) + static_cast<size_t>(c)] =
          static_cast<float>(x / (c + 1));
  }
  if (frames > 0) sf_writef_float(sound, samples.data(), static_cast<sf_count_t>(frames));
  sf_close(sound);
  return file;
}

}  // namespace xp::data::testing
