#include <cstdio>
#include <cstring>

#include <png.h>
#include <sndfile.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/decode.h"
#include "data/export.h"

namespace xp::data {
namespace fs = std::filesystem;

void write_png(const fs::path& file, const ops::Image& image) {
  AtomicFile out(file);
  png_image header;
  std::memset(&header, 0, sizeof header);
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  if (png_image_write_to_file(&header, out.path().c_str(), 0, image.rgb.data(), 0, nullptr) == 0) {
    throw Error(fmt::format("cannot write {}: {}", file.string(), header.message), Exit::kFailed);
  }
  out.commit();
}

void write_wav(const fs::path& file, std::span<const float> wave, int64_t rate_hz) {
  AtomicFile out(file);
  const bool loud = pcm_scale(wave) > 1;
  std::vector<int16_t> pcm(loud ? 0 : wave.size());
  if (!loud) to_pcm16(wave, pcm);
  SF_INFO info{};
  info.samplerate = static_cast<int>(rate_hz);
  info.channels = 1;
  info.format = SF_FORMAT_WAV | (loud ? SF_FORMAT_FLOAT : SF_FORMAT_PCM_16);
  SNDFILE* sound = sf_open(out.path().c_str(), SFM_WRITE, &info);
  if (sound == nullptr)
    throw Error(fmt::format("cannot write {}: {}", file.string(), sf_strerror(nullptr)),
                Exit::kFailed);
  const auto samples = static_cast<sf_count_t>(wave.size());
  const auto wrote = loud ? sf_write_float(sound, wave.data(), samples)
                          : sf_write_short(sound, pcm.data(), samples);
  sf_close(sound);
  if (wrote != samples)
    throw Error(fmt::format("cannot write {}: the disk is full", file.string()), Exit::kFailed);
  out.commit();
}

}  // namespace xp::data
