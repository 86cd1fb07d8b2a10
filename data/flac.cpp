#include <algorithm>
#include <cstring>

#include <sndfile.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "data/shard_writer.h"

namespace xp::data {
namespace {

/// libsndfile's view of bytes that grow or are only read.
struct Stream {
  std::vector<std::byte>* out = nullptr;
  std::span<const std::byte> in;
  sf_count_t at = 0;

  sf_count_t size() const {
    return static_cast<sf_count_t>(out != nullptr ? out->size() : in.size());
  }
};

sf_count_t length(void* user) { return static_cast<Stream*>(user)->size(); }

sf_count_t seek(sf_count_t offset, int whence, void* user) {
  auto* stream = static_cast<Stream*>(user);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? stream->at : stream->size();
  stream->at = std::clamp<sf_count_t>(base + offset, 0, stream->size());
  return stream->at;
}

sf_count_t read(void* to, sf_count_t count, void* user) {
  auto* stream = static_cast<Stream*>(user);
  const std::byte* from = stream->out != nullptr ? stream->out->data() : stream->in.data();
  count = std::min(count, stream->size() - stream->at);
  if (count <= 0) return 0;
  std::memcpy(to, from + stream->at, static_cast<size_t>(count));
  stream->at += count;
  return count;
}

sf_count_t write(const void* from, sf_count_t count, void* user) {
  auto* stream = static_cast<Stream*>(user);
  if (stream->out == nullptr || count <= 0) return 0;
  const auto end = static_cast<size_t>(stream->at + count);
  if (stream->out->size() < end) stream->out->resize(end);
  std::memcpy(stream->out->data() + stream->at, from, static_cast<size_t>(count));
  stream->at += count;
  return count;
}

sf_count_t tell(void* user) { return static_cast<Stream*>(user)->at; }

SF_VIRTUAL_IO io = {length, seek, read, write, tell};

}  // namespace

std::vector<std::byte> encode_flac(std::span<const int16_t> pcm, int64_t rate_hz) {
  std::vector<std::byte> bytes;
  Stream stream{&bytes, {}, 0};
  SF_INFO info{};
  info.samplerate = static_cast<int>(rate_hz);
  info.channels = 1;
  info.format = SF_FORMAT_FLAC | SF_FORMAT_PCM_16;
  SNDFILE* sound = sf_open_virtual(&io, SFM_WRITE, &info, &stream);
  XP_CHECK(sound != nullptr, fmt::format("FLAC encoder: {}", sf_strerror(nullptr)));
  const auto wrote = sf_write_short(sound, pcm.data(), static_cast<sf_count_t>(pcm.size()));
  sf_close(sound);
  XP_CHECK(wrote == static_cast<sf_count_t>(pcm.size()), "FLAC encoder stopped early");
  return bytes;
}

bool decode_flac(std::span<const std::byte> bytes, std::span<int16_t> pcm) {
  Stream stream{nullptr, bytes, 0};
  SF_INFO info{};
  SNDFILE* sound = sf_open_virtual(&io, SFM_READ, &info, &stream);
  if (sound == nullptr) return false;
  const auto wanted = static_cast<sf_count_t>(pcm.size());
  const bool whole = info.channels == 1 && info.frames == wanted &&
                     sf_read_short(sound, pcm.data(), wanted) == wanted;
  sf_close(sound);
  return whole;
}

}  // namespace xp::data
