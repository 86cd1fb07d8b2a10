#include "data/decode.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <thread>
#include <utility>

#include <sndfile.h>
#include <soxr.h>

#include <gtest/gtest.h>

#include "core/schema/sound_files.h"
#include "data/resample.h"
#include "tests/data/tones.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::write_tone;
using xp::testing::put;
using xp::testing::TempDir;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Wave read(const fs::path& file, int64_t rate = 16000) {
  DecodeOptions options;
  options.rate_hz = rate;
  return Decoder(options).read(FileSource{file.string()});
}

TEST(Decode, EveryFormatRateAndChannelCount) {
  const TempDir folder;
  struct Case {
    const char* name;
    int format;
    int rate;
    int channels;
    double tolerance;
  };
  const Case cases[] = {
      {"a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 1e-4},
      {"b.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 44100, 2, 1e-3},
      {"c.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 1, 1e-3},
      {"d.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 96000, 8, 1e-3},
      {"e.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 48000, 2, 1e-3},
      {"f.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 1, 0.05},
      {"g.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 32000, 1, 0.1},
      {"h.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 22050, 1, 1e-3},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Wave wave = read(write_tone(folder / c.name, c.format, c.rate, c.channels, 1.0));
    ASSERT_EQ(wave.problem, "");
    EXPECT_EQ(wave.source_rate_hz, c.rate);
    EXPECT_EQ(wave.source_channels, c.channels);
    const bool mp3 = std::string_view(c.name).ends_with("mp3");
    if (!mp3) {
      ASSERT_EQ(wave.samples.size(), 16000U);
    }
    double level = 0;
    for (int i = 1; i <= c.channels; ++i) level += 1.0 / i / c.channels;
    double worst = 0;
    for (size_t i = 2000; i < 14000 && !mp3; ++i) {
      const double want =
          0.5 * level * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / 16000);
      worst = std::max(worst, std::abs(want - static_cast<double>(wave.samples[i])));
    }
    EXPECT_LT(worst, c.tolerance);
  }
}

/// Of all formats that the library decodes: what no file name could say is not listed.
TEST(Decode, EveryFormatHasItsEndingInTheTable) {
  int count = 0;
  ASSERT_EQ(sf_command(nullptr, SFC_GET_FORMAT_MAJOR_COUNT, &count, sizeof count), 0);
  int counted = 0;
  for (int i = 0; i < count; ++i) {
    SF_FORMAT_INFO info{};
    info.format = i;
    ASSERT_EQ(sf_command(nullptr, SFC_GET_FORMAT_MAJOR, &info, sizeof info), 0);
    const std::string ending = info.extension;
    // Raw samples have no header; the others' endings are those of other things as a rule.
    if (ending == "raw" || ending == "mat" || ending == "mpc" || ending == "iff" ||
        ending == "xi" || ending == "sd2")
      continue;
    EXPECT_EQ(schema::kind_of_file("a." + ending), schema::FileKind::kSound) << info.name;
    ++counted;
  }
  EXPECT_GE(counted, 15);
}

TEST(Decode, EveryFormatIsReadByItsName) {
  const TempDir folder;
  for (const auto& [name, format] : testing::kToneFormats) {
    SCOPED_TRACE(name);
    EXPECT_EQ(schema::kind_of_file(name), schema::FileKind::kSound);
    EXPECT_EQ(read(write_tone(folder / name, format, 16000, 1, 1.0)).problem, "");
  }
}

TEST(Decode, BadFilesSayWhy) {
  const TempDir folder;
  const auto wav = write_tone(folder / "good.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 1.0);
  const auto flac =
      write_tone(folder / "good.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 1.0);
  put(folder / "empty.wav", "");
  put(folder / "text.wav", "this is no sound at all, it is a sentence\n");
  put(folder / "cut.wav", slurp(wav).substr(0, 20000));
  const std::string coded = slurp(flac);
  put(folder / "cut.flac", coded.substr(0, coded.size() / 2));
  put(folder / "header.wav", slurp(wav).substr(0, 44));
  write_tone(folder / "none.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0);
  write_tone(folder / "short.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0.01);
  struct Case {
    const char* file;
    const char* want;
  };
  const Case cases[] = {
      {"empty.wav", "empty file"},
      {"text.wav", "cannot be decoded: Format not recognised."},
      {"cut.wav", "truncated: 19956 of 32000 bytes of sound are there"},
      {"header.wav", "truncated: 0 of 32000 bytes of sound are there"},
      {"none.wav", "empty: no samples"},
      {"short.wav", "too short: 0.0100 s, at least 0.025 s are needed"},
      {"absent.wav", "cannot be opened: No such file or directory"},
      {".", "not a regular file"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.file);
    EXPECT_EQ(read(folder / c.file).problem, c.want);
  }
  const std::string half = read(folder / "cut.flac").problem;
  EXPECT_TRUE(half.starts_with("truncated") || half.starts_with("broken")) << half;
  DecodeOptions options;
  options.longest_s = 0.5;
  EXPECT_EQ(Decoder(options).read(FileSource{wav.string()}).problem, "too long: more than 0.5 s");
}

TEST(Decode, OpenEndedRiffSizesAreNoFault) {
  const TempDir folder;
  std::string bytes =
      slurp(write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0.5));
  for (const size_t at : {size_t{4}, size_t{40}}) bytes.replace(at, 4, "\xFF\xFF\xFF\xFF");
  put(folder / "piped.wav", bytes);
  const Wave wave = read(folder / "piped.wav");
  EXPECT_EQ(wave.problem, "");
  EXPECT_EQ(wave.samples.size(), 8000U);
}

TEST(Decode, CutOfAFile) {
  const TempDir folder;
  const auto file = write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 3.0);
  Decoder decoder({});
  const Wave whole = decoder.read(FileSource{file.string()});
  const Wave cut = decoder.read(FileSource{file.string(), 1.25, 1.0});
  ASSERT_EQ(cut.samples.size(), 16000U);
  EXPECT_TRUE(std::equal(cut.samples.begin(), cut.samples.end(), whole.samples.begin() + 20000));
  EXPECT_EQ(decoder.read(FileSource{file.string(), 5.0, 1.0}).problem,
            "shorter than 5 s, where the clip begins");
}

TEST(Decode, ResampledLengthIsAPureFunctionOfTheLength) {
  for (const size_t n : {1U, 7U, 1000U, 44099U, 44100U, 220500U}) {
    const std::vector<float> in(n, 0.25F);
    const auto out = resample(in, 44100, 16000, schema::ResampleQuality::kHq);
    EXPECT_EQ(out.size(),
              static_cast<size_t>(std::llround(static_cast<double>(n) * 16000 / 44100)));
  }
}

TEST(Decode, ResamplingPieceByPieceGivesTheBitsOfAllAtOnce) {
  const std::pair<int, int> rates[] = {{44100, 16000}, {16000, 32000}, {48000, 32000},
                                       {8000, 48000},  {192000, 8000}, {1000, 48000}};
  for (const auto& [from, to] : rates) {
    for (const size_t n : {1U, 2U, 7U, 4095U, 4096U, 4097U, 30000U}) {
      std::vector<float> in(n);
      for (size_t i = 0; i < n; ++i) in[i] = static_cast<float>((i * 7919) % 1000) / 1000 - 0.5F;
      const std::vector<float> out = resample(in, from, to, schema::ResampleQuality::kHq);
      std::vector<float> whole(out.size() + 16);
      size_t made = 0;
      const soxr_quality_spec_t spec = soxr_quality_spec(SOXR_HQ, 0);
      ASSERT_EQ(soxr_oneshot(from, to, 1, in.data(), n, nullptr, whole.data(), whole.size(), &made,
                             nullptr, &spec, nullptr),
                nullptr);
      std::fill(whole.begin() + static_cast<std::ptrdiff_t>(made), whole.end(), 0.0F);
      whole.resize(out.size());
      ASSERT_EQ(out, whole) << from << " to " << to << ", " << n << " samples";
    }
  }
}

TEST(Decode, Pcm16RoundTripIsExact) {
  std::vector<int16_t> all;
  for (int x = -32768; x <= 32767; ++x) all.push_back(static_cast<int16_t>(x));
  std::vector<float> floats(all.size());
  std::vector<int16_t> back(all.size());
  from_pcm16(all, floats);
  to_pcm16(floats, back);
  EXPECT_EQ(all, back);
  const std::vector<float> loud = {2.0F, -2.0F, 0.99999F};
  std::vector<int16_t> clipped(3);
  EXPECT_GT(pcm_scale(loud), 1.0F);
  to_pcm16(loud, clipped);
  EXPECT_EQ(clipped, (std::vector<int16_t>{32767, -32768, 32767}));
}

TEST(Decode, TheReasonIsTheFilesOwnWhateverOthersOpen) {
  const TempDir folder;
  const fs::path tone =
      write_tone(folder / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0.1);
  std::vector<std::thread> threads;
  std::vector<std::string> reasons(4);
  for (size_t t = 0; t < reasons.size(); ++t) {
    threads.emplace_back([&, t] {
      Decoder decoder(DecodeOptions{});
      const std::string text = "no sound at all";
      for (int i = 0; i < 1000; ++i) {
        if (!decoder.read(FileSource{tone.string()}).problem.empty()) reasons[t] = "the tone";
        const std::string problem = decoder.read_bytes(std::as_bytes(std::span(text))).problem;
        if (problem != "cannot be decoded: Format not recognised.") reasons[t] = problem;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reasons, std::vector<std::string>(4));
}

TEST(DecodeIntegration, ManyThreadsManyCorruptionsNoCrash) {
  const TempDir folder;
  std::vector<std::string> seeds;
  for (const auto& [name, format] : {std::pair{"a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16},
                                     {"a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
                                     {"a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS},
                                     {"a.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III}}) {
    seeds.push_back(slurp(write_tone(folder / name, format, 16000, 1, 0.2)));
  }
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Decoder decoder({});
      unsigned random = 1 + t;
      for (int i = 0; i < 200; ++i) {
        std::string bytes = seeds[static_cast<size_t>(i) % seeds.size()];
        for (int k = 0; k < 8; ++k) {
          random = random * 1664525U + 1013904223U;
          bytes[(random >> 8U) % bytes.size()] = static_cast<char>(random >> 24U);
        }
        const Wave wave = decoder.read_bytes(std::as_bytes(std::span(bytes)));
        EXPECT_NE(wave.problem.empty(), wave.samples.empty());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace xp::data
