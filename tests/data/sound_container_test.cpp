#include "data/sound_container.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sndfile.h>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "data/decode.h"
#include "tests/data/tones.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using testing::write_tone;
using xp::testing::TempDir;

std::string damage_of(const std::string& bytes) {
  EncodedMemory encoded(std::as_bytes(std::span(bytes)));
  return find_damage(encoded).value_or("");
}

/// What the decoder says of the bytes, which is all that the user sees.
std::string problem_of(const std::string& bytes) {
  return Decoder(DecodeOptions{}).read_bytes(std::as_bytes(std::span(bytes))).problem;
}

/// Bytes of a tone of some seconds.
std::string tone(int format, int rate = 16000, double seconds = 5) {
  const TempDir folder;
  return read_file(write_tone(folder / "tone", format, rate, 1, seconds));
}

std::string first_half(const std::string& bytes) { return bytes.substr(0, bytes.size() / 2); }

std::string with_zeros(std::string bytes, size_t from, size_t count) {
  return bytes.replace(from, count, count, '\0');
}

std::vector<size_t> pages_of(const std::string& ogg) {
  std::vector<size_t> at;
  for (size_t i = ogg.find("OggS"); i != std::string::npos; i = ogg.find("OggS", i + 1))
    at.push_back(i);
  return at;
}

constexpr double kManyPages = 40;  // seconds
constexpr int kVorbis = SF_FORMAT_OGG | SF_FORMAT_VORBIS;
constexpr int kOpus = SF_FORMAT_OGG | SF_FORMAT_OPUS;
constexpr int kMp3 = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
constexpr int kWav = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
constexpr int kRifx = SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG;
constexpr int kRf64 = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;
constexpr int kAiff = SF_FORMAT_AIFF | SF_FORMAT_PCM_16;

TEST(SoundContainer, WholeFilesHaveNoDamage) {
  for (const int format :
       {kWav, SF_FORMAT_WAV | SF_FORMAT_FLOAT, SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, kRifx, kRf64,
        kAiff, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, kVorbis, kMp3}) {
    for (const int rate : {16000, 44100}) {
      for (const double seconds : {0.1, 5.0}) {
        SCOPED_TRACE(format);
        const std::string bytes = tone(format, rate, seconds);
        EXPECT_EQ(damage_of(bytes), "");
        EXPECT_EQ(problem_of(bytes), "");
      }
    }
  }
  EXPECT_EQ(problem_of(tone(kOpus, 48000)), "");
}

TEST(SoundContainer, CutFilesAreTruncated) {
  const std::string wav = tone(kWav);
  EXPECT_EQ(problem_of(first_half(wav)), "truncated: 79978 of 160000 bytes of sound are there");
  EXPECT_EQ(problem_of(first_half(tone(kRifx))),
            "truncated: 79978 of 160000 bytes of sound are there");
  EXPECT_TRUE(problem_of(first_half(tone(kRf64))).starts_with("truncated: "));
  EXPECT_TRUE(problem_of(first_half(tone(kAiff))).starts_with("truncated: "));
  EXPECT_TRUE(problem_of(first_half(tone(kMp3))).starts_with("truncated: "));
  for (const auto& [format, rate] : {std::pair{kVorbis, 16000}, {kOpus, 48000}}) {
    const std::string ogg = tone(format, rate, kManyPages);
    ASSERT_GT(pages_of(ogg).size(), 4U);
    EXPECT_TRUE(problem_of(first_half(ogg)).starts_with("truncated: no Ogg page ends the stream"));
    // Between two pages, where nothing but the missing end tells.
    EXPECT_TRUE(problem_of(ogg.substr(0, pages_of(ogg).back()))
                    .starts_with("truncated: no Ogg page ends the stream"));
  }
}

TEST(SoundContainer, DamagedOggPagesAreNamed) {
  const std::string ogg = tone(kVorbis, 16000, kManyPages);
  const std::vector<size_t> pages = pages_of(ogg);
  ASSERT_GT(pages.size(), 4U);
  EXPECT_TRUE(problem_of(with_zeros(ogg, ogg.size() / 2, ogg.size() / 4))
                  .starts_with("damaged: no whole Ogg page at byte "));
  std::string flipped = ogg;
  flipped[pages[3] + 100] = static_cast<char>(flipped[pages[3] + 100] ^ 1);
  EXPECT_EQ(problem_of(flipped), "damaged: no whole Ogg page at byte " + std::to_string(pages[3]));
  std::string missing = ogg;
  missing.erase(pages[2], pages[3] - pages[2]);
  EXPECT_EQ(problem_of(missing), "damaged: Ogg page 2 is missing");
}

TEST(SoundContainer, WhatStandsBehindAWholeOggStreamIsNoDamage) {
  const std::string ogg = tone(kVorbis);
  EXPECT_EQ(damage_of(ogg + "TAG" + std::string(125, ' ')), "");
  EXPECT_EQ(damage_of(ogg + ogg), "");  // joined: the same stream number twice
}

Wave wave_of(const std::string& bytes) {
  return Decoder(DecodeOptions{}).read_bytes(std::as_bytes(std::span(bytes)));
}

/// A program that writes into a pipe cannot go back to fill in the size of what it wrote.
TEST(SoundContainer, SizesOfWritersToAPipeAreReadToTheEnd) {
  const auto in_place = [](std::string bytes, const char* chunk, size_t behind, uint32_t size,
                           bool big_endian) {
    const size_t at = bytes.find(chunk) + 4 + behind;
    for (size_t i = 0; i < 4; ++i)
      bytes[at + i] = static_cast<char>(size >> (8 * (big_endian ? 3 - i : i)));
    return bytes;
  };
  for (const auto& [format, chunk] : {std::pair{kWav, "data"},
                                      {SF_FORMAT_WAV | SF_FORMAT_FLOAT, "data"},
                                      {kRifx, "data"},
                                      {kAiff, "SSND"}}) {
    const std::string whole = tone(format);
    const Wave expected = wave_of(whole);
    const bool big_endian = format == kRifx || format == kAiff;
    for (const uint32_t size : {0U, 0x7FFFF000U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
      if (format == kAiff && size == 0) continue;
      SCOPED_TRACE(std::to_string(format) + " " + std::to_string(size));
      const std::string piped = in_place(whole, chunk, 0, size, big_endian);
      const Wave wave = wave_of(piped);
      EXPECT_EQ(wave.problem, "");
      EXPECT_EQ(wave.samples, expected.samples);
      // Of the whole file's size, too.
      EXPECT_EQ(wave_of(with_zeros(piped, 4, 4)).samples, expected.samples);
    }
  }
  std::string wide = tone(kRf64);
  const Wave expected = wave_of(wide);
  const size_t at = wide.find("ds64") + 8 + 8;
  EXPECT_EQ(wave_of(with_zeros(wide, at, 8)).samples, expected.samples);
  EXPECT_EQ(wave_of(wide.replace(at, 8, 8, '\xFF')).samples, expected.samples);
}

TEST(SoundContainer, NothingRecordedIsNoSound) {
  const std::string wav = with_zeros(tone(kWav).substr(0, 44), 40, 4);
  EXPECT_EQ(problem_of(wav), "empty: no samples");
  EXPECT_EQ(problem_of(wav + std::string("LIST\x04\0\0\0INFO", 12)), "empty: no samples");
}

TEST(SoundContainer, AHeaderWithoutARate) {
  EXPECT_EQ(problem_of(with_zeros(tone(kWav), 24, 4)), "sample rate 0 in its header");
  const std::string au = tone(SF_FORMAT_AU | SF_FORMAT_PCM_16);
  EXPECT_EQ(problem_of(with_zeros(au, 16, 4)),
            "cannot be decoded: its header has no sample rate or no channel");
}

TEST(SoundContainer, WhatIsNoSoundIsNamed) {
  const std::string rest(2000, 'x');
  const std::pair<std::string, const char*> cases[] = {
      {std::string("\0\0\0\x20", 4) + "ftypM4A " + rest, "an MP4 (AAC) file: convert with ffmpeg"},
      {"\n<!DOCTYPE html>" + rest, "a web page: the download was redirected to a page"},
      {"<HTML><body>" + rest, "a web page: the download was redirected to a page"},
      {"\x1A\x45\xDF\xA3" + rest, "a Matroska or WebM file: convert with ffmpeg"},
      {"\x30\x26\xB2\x75\x8E\x66\xCF\x11" + rest, "a WMA file: convert with ffmpeg"},
      {"#!AMR\n" + rest, "an AMR file: convert with ffmpeg"},
      {"PK\x03\x04" + rest, "a ZIP archive: unpack it"},
      {"version https://git-lfs.github.com/spec/v1\n",
       "a pointer of Git LFS: fetch the files with git lfs pull"},
      {rest, "Format not recognised."},
  };
  for (const auto& [bytes, what] : cases)
    EXPECT_EQ(problem_of(bytes), std::string("cannot be decoded: ") + what);
}

TEST(SoundContainerIntegration, NoRealFileIsDamaged) {
  const auto root = xp::testing::env("EXP_DATA");
  if (root.empty()) GTEST_SKIP() << "EXP_DATA is not set";
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(root))) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".wav" && extension != ".ogg" && extension != ".flac" && extension != ".mp3")
      continue;
    ++files;
    EXPECT_EQ(damage_of(read_file(entry.path())), "") << entry.path();
  }
  std::printf("%d files\n", files);
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace xp::data
