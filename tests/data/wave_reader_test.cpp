#include "data/wave_reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <sndfile.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/data/tones.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::write_tone;
using xp::testing::put;
using xp::testing::TempDir;

DecodeOptions at_rate(int64_t rate_hz) {
  DecodeOptions options;
  options.rate_hz = rate_hz;
  return options;
}

/// What a shard of the file gives back.
std::vector<float> stored(const fs::path& file, const DecodeOptions& options) {
  Wave wave = Decoder(options).read(FileSource{file.string()});
  EXPECT_EQ(wave.problem, "");
  round_as_stored(wave.samples);
  return wave.samples;
}

/// The whole file in stretches of `block` samples that overlap by half.
std::vector<float> in_stretches(WaveReader& wave, size_t block) {
  std::vector<float> out(static_cast<size_t>(wave.samples()));
  const size_t hop = std::max<size_t>(1, block / 2);
  for (size_t begin = 0; begin < out.size(); begin += hop) {
    const size_t count = std::min(block, out.size() - begin);
    wave.read(static_cast<int64_t>(begin), std::span(out).subspan(begin, count));
  }
  return out;
}

/// Mono 32-bit floats.
void write_floats(const fs::path& file, const std::vector<float>& samples, int rate) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;
  SNDFILE* sound = sf_open(file.c_str(), SFM_WRITE, &info);
  ASSERT_NE(sound, nullptr);
  sf_write_float(sound, samples.data(), static_cast<sf_count_t>(samples.size()));
  sf_close(sound);
}

TEST(WaveReader, EveryFormatGivesTheBitsOfItsShardInStretchesOfAnySize) {
  const TempDir folder;
  for (const auto& [name, format] : testing::kToneFormats) {
    const fs::path file = write_tone(folder / name, format, 44100, 1, 1.3);
    for (const int64_t rate : {16000, 44100, 48000}) {
      const DecodeOptions options = at_rate(rate);
      const std::vector<float> want = stored(file, options);
      for (const size_t held_whole : {size_t{0}, size_t{5000}, WaveReader::kHeldWhole}) {
        for (const size_t block : {1000UL, 4096UL, 30000UL, 1000000UL}) {
          SCOPED_TRACE(fmt::format("{} at {} Hz, held {}, in {}", name, rate, held_whole, block));
          WaveReader wave(file, options, held_whole);
          ASSERT_EQ(wave.samples(), static_cast<int64_t>(want.size()));
          ASSERT_EQ(in_stretches(wave, block), want);
        }
      }
    }
  }
}

TEST(WaveReader, ChannelsQualitiesAndSamplesAboveFullScaleToo) {
  const TempDir folder;
  std::vector<float> loud(30000);
  for (size_t i = 0; i < loud.size(); ++i) loud[i] = 0.9F * std::sin(0.05F * static_cast<float>(i));
  loud[20000] = 3;
  write_floats(folder / "loud.wav", loud, 22050);
  write_tone(folder / "many.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 6, 1);
  for (const char* name : {"loud.wav", "many.flac"}) {
    for (const auto quality : {schema::ResampleQuality::kLq, schema::ResampleQuality::kVhq}) {
      DecodeOptions options = at_rate(16000);
      options.quality = quality;
      WaveReader wave(folder / name, options, 0);
      EXPECT_EQ(in_stretches(wave, 7000), stored(folder / name, options)) << name;
    }
  }
}

TEST(WaveReader, WhatLiesBetweenIsPassedOver) {
  const TempDir folder;
  const fs::path file = write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1, 30);
  const std::vector<float> want = stored(file, at_rate(16000));
  WaveReader wave(file, at_rate(16000), 0);
  std::vector<float> some(100);
  for (const int64_t begin : {int64_t{5}, int64_t{300000}, wave.samples() - 100}) {
    wave.read(begin, some);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), want.begin() + begin)) << begin;
  }
}

TEST(WaveReader, BadFilesSayWhatTheDecoderSays) {
  const TempDir folder;
  const std::string wav =
      read_file(write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 1));
  const std::string ogg =
      read_file(write_tone(folder / "a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 1, 5));
  put(folder / "empty.wav", "");
  put(folder / "text.wav", "this is no sound at all");
  put(folder / "cut.wav", wav.substr(0, 20000));
  put(folder / "cut.ogg", ogg.substr(0, ogg.size() / 2));
  put(folder / "page.wav", "<!doctype html><html>");
  write_tone(folder / "none.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0);
  write_tone(folder / "short.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0.01);
  const std::vector<float> nan(16000, NAN);
  write_floats(folder / "nan.wav", nan, 16000);
  for (const char* name : {"empty.wav", "text.wav", "cut.wav", "cut.ogg", "page.wav", "none.wav",
                           "short.wav", "nan.wav", "absent.wav", "."}) {
    const std::string file = (folder / name).string();
    const std::string problem = Decoder(at_rate(16000)).read(FileSource{file}).problem;
    EXPECT_NE(problem, "") << name;
    try {
      WaveReader(file, at_rate(16000));
      ADD_FAILURE() << name << " was read";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(problem), std::string::npos) << error.what();
    }
  }
}

TEST(WaveReader, AFileThatShrinksMeanwhileIsAnError) {
  const TempDir folder;
  const fs::path file = write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1, 60);
  WaveReader wave(file, at_rate(8000), 0);
  fs::resize_file(file, 500000);
  std::vector<float> some(1000);
  wave.read(0, some);
  EXPECT_THROW(wave.read(wave.samples() - 1000, some), Error);
}

/// Peak of this process's memory since the mark was set back, bytes.
class Peak {
 public:
  Peak() { std::ofstream("/proc/self/clear_refs") << "5"; }
  static int64_t bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
    return 0;
  }
};

int64_t peak_of_reading(const fs::path& file) {
  const Peak peak;
  WaveReader wave(file, at_rate(32000));
  std::vector<float> window(320000);
  for (int64_t begin = 0; begin + 320000 <= wave.samples(); begin += 160000)
    wave.read(begin, window);
  return Peak::bytes();
}

TEST(WaveReaderIntegration, ALongFileTakesTheMemoryOfSixMinutes) {
  const TempDir folder;
  struct Case {
    testing::ToneFormat format;
    double seconds;  ///< an hour where encoding takes no time
  };
  const Case cases[] = {{testing::kToneFormats[0], 3600}, {testing::kToneFormats[3], 900}};
  for (const auto& [sound, seconds] : cases) {
    const fs::path file = folder / sound.name;
    const int64_t before = peak_of_reading(write_tone(file, sound.format, 8000, 1, 360));
    const int64_t after = peak_of_reading(write_tone(file, sound.format, 8000, 1, seconds));
    const double more = static_cast<double>(after - before) / 1e6;
    fmt::print("{}: {} s take {:.1f} MB more than six minutes, which take {:.1f}\n", sound.name,
               seconds, more, static_cast<double>(before) / 1e6);
    EXPECT_LT(more, 4);
  }
}

}  // namespace
}  // namespace xp::data
