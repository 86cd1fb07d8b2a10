#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <vector>

#include <sndfile.h>

#include <gtest/gtest.h>

namespace xp::data::testing {

/// A file name of each format, with what libsndfile calls it.
struct ToneFormat {
  const char* name;
  int format;
};
inline constexpr ToneFormat kToneFormats[] = {
    {"a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16},
    {"b.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT},
    {"c.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
    {"d.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS},
    {"e.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
    {"f.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16},
    {"g.au", SF_FORMAT_AU | SF_FORMAT_PCM_16},
    {"h.snd", SF_FORMAT_AU | SF_FORMAT_FLOAT},
    {"i.caf", SF_FORMAT_CAF | SF_FORMAT_PCM_24},
    {"j.w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16},
    {"k.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16},
    {"l.aifc", SF_FORMAT_AIFF | SF_FORMAT_FLOAT},
    {"m.sph", SF_FORMAT_NIST | SF_FORMAT_PCM_16},
    {"n.voc", SF_FORMAT_VOC | SF_FORMAT_PCM_16},
    {"o.sf", SF_FORMAT_IRCAM | SF_FORMAT_PCM_16},
    {"p.svx", SF_FORMAT_SVX | SF_FORMAT_PCM_16},
    {"q.oga", SF_FORMAT_OGG | SF_FORMAT_VORBIS},
    {"r.MP2", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
};

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
  // In pieces: libsndfile's Vorbis keeps what it is given at once on the stack.
  constexpr size_t kPiece = 4096;
  for (size_t at = 0; at < frames; at += kPiece)
    sf_writef_float(sound, samples.data() + at * static_cast<size_t>(channels),
                    static_cast<sf_count_t>(std::min(kPiece, frames - at)));
  sf_close(sound);
  return file;
}

}  // namespace xp::data::testing
