#include "data/sound_container.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <map>
#include <string_view>

#include <fmt/format.h>
#include <ogg/ogg.h>

namespace xp::data {
namespace {

using Bytes = std::span<const std::byte>;
using Damage = std::optional<std::string>;

bool has(Bytes bytes, size_t at, std::string_view text) {
  return at + text.size() <= bytes.size() &&
         std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
}

template <class Number>
Number little(Bytes bytes, size_t at) {
  static_assert(std::endian::native == std::endian::little);
  Number value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint32_t big32(Bytes bytes, size_t at) { return __builtin_bswap32(little<uint32_t>(bytes, at)); }

std::string truncated(uint64_t there, uint64_t promised) {
  return fmt::format("truncated: {} of {} bytes of sound are there", there, promised);
}

/// Whether a chunk begins there, by its name of four letters.
bool chunk_at(Bytes bytes, size_t at) {
  if (at + 8 > bytes.size()) return false;
  return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                     bytes.begin() + static_cast<std::ptrdiff_t>(at) + 4, [](std::byte letter) {
                       return std::isprint(std::to_integer<unsigned char>(letter)) != 0;
                     });
}

Damage riff_damage(Bytes bytes) {
  constexpr uint32_t kOpen = 0x7FFFFF00U;  // and above: a writer to a pipe
  const bool wide = has(bytes, 0, "RF64");
  const bool big_endian = has(bytes, 0, "RIFX");
  uint64_t data_bytes = 0;  // of RF64's ds64 chunk
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint32_t size = big_endian ? big32(bytes, at + 4) : little<uint32_t>(bytes, at + 4);
    const size_t there = bytes.size() - at - 8;
    if (wide && has(bytes, at, "ds64") && there >= 16)
      data_bytes = little<uint64_t>(bytes, at + 16);
    if (has(bytes, at, "data")) {
      const uint64_t promised = wide && size >= kOpen ? data_bytes : size;
      if (promised == 0 && there > 0 && !chunk_at(bytes, at + 8)) {
        return fmt::format("its header says 0 bytes of sound, and {} follow: write the file again",
                           there);
      }
      if (promised <= there || (!wide && promised >= kOpen)) return std::nullopt;
      return truncated(there, promised);
    }
    at += 8 + static_cast<size_t>(size) + (size & 1U);
  }
  return std::nullopt;
}

Damage aiff_damage(Bytes bytes) {
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint32_t size = big32(bytes, at + 4);
    const size_t there = bytes.size() - at - 8;
    if (has(bytes, at, "SSND") && size > there) return truncated(there, size);
    at += 8 + static_cast<size_t>(size) + (size & 1U);
  }
  return std::nullopt;
}

/// libogg's reader of pages, which checks their sums.
class OggPages {
 public:
  OggPages() { ogg_sync_init(&state_); }
  ~OggPages() { ogg_sync_clear(&state_); }
  OggPages(const OggPages&) = delete;
  OggPages& operator=(const OggPages&) = delete;

  /// The length of the next page, 0 at the end of `rest`, negative where bytes are no page.
  long next(Bytes& rest, ogg_page& page) {
    constexpr size_t kPiece = 1U << 16U;
    while (true) {
      const long length = ogg_sync_pageseek(&state_, &page);
      if (length != 0 || rest.empty()) return length;
      const Bytes piece = rest.first(std::min(rest.size(), kPiece));
      std::memcpy(ogg_sync_buffer(&state_, static_cast<long>(piece.size())), piece.data(),
                  piece.size());
      ogg_sync_wrote(&state_, static_cast<long>(piece.size()));
      rest = rest.subspan(piece.size());
    }
  }

 private:
  ogg_sync_state state_{};
};

Damage ogg_damage(Bytes bytes) {
  OggPages pages;
  ogg_page page{};
  std::map<int, long> numbers;  // of the last page, by stream
  bool ended = false;           // since a stream began: streams may follow each other
  uint64_t at = 0;
  while (const long length = pages.next(bytes, page)) {
    if (length < 0) {
      if (ended) return std::nullopt;  // a tag behind the sound
      return fmt::format("damaged: no whole Ogg page at byte {}", at);
    }
    const long number = ogg_page_pageno(&page);
    const auto [last, fresh] = numbers.emplace(ogg_page_serialno(&page), number);
    if (ogg_page_bos(&page) != 0) {
      ended = false;
      last->second = number;  // files that were joined may have streams of one serial number
    } else if (!fresh && ++last->second != number) {
      return fmt::format("damaged: Ogg page {} is missing", last->second);
    }
    if (ogg_page_eos(&page) != 0) ended = true;
    at += static_cast<uint64_t>(length);
  }
  if (ended) return std::nullopt;
  return fmt::format("truncated: no Ogg page ends the stream ({} bytes of pages)", at);
}

/// Where the first frame begins, behind an ID3v2 tag.
size_t first_mp3_frame(Bytes bytes) {
  if (!has(bytes, 0, "ID3") || bytes.size() < 10) return 0;
  size_t size = 0;
  for (size_t i = 6; i < 10; ++i)
    size = size << 7U | std::to_integer<size_t>(bytes[i] & std::byte{0x7F});
  const bool footer = (bytes[5] & std::byte{0x10}) != std::byte{0};
  return 10 + size + (footer ? 10 : 0);
}

/// Sizes of the Xing header: gabriel.mp3-tech.org/mp3infotag.html. The longest frame has 1441
/// bytes; encoders differ by one in what they count.
Damage mp3_damage(Bytes bytes) {
  constexpr uint64_t kFrame = 1441;
  const size_t at = first_mp3_frame(bytes);
  if (at + 48 > bytes.size()) return std::nullopt;
  const uint32_t header = big32(bytes, at);
  const bool layer3 = (header & 0xFFE60000U) == 0xFFE20000U;
  if (!layer3) return std::nullopt;
  const bool mpeg1 = (header >> 19U & 3U) == 3;
  const bool mono = (header >> 6U & 3U) == 3;
  const bool summed = (header >> 16U & 1U) == 0;
  const size_t side = mpeg1 ? (mono ? 17 : 32) : (mono ? 9 : 17);
  const size_t tag = at + 4 + side + (summed ? 2 : 0);
  if (tag + 16 > bytes.size() || !(has(bytes, tag, "Xing") || has(bytes, tag, "Info")))
    return std::nullopt;
  const uint32_t flags = big32(bytes, tag + 4);
  if ((flags & 2U) == 0) return std::nullopt;
  const uint64_t promised = big32(bytes, tag + ((flags & 1U) != 0 ? 12 : 8));
  const uint64_t there = bytes.size() - at;
  return there + kFrame < promised ? Damage(truncated(there, promised)) : std::nullopt;
}

}  // namespace

std::optional<std::string> find_damage(Bytes encoded) {
  if (encoded.size() < 12) return std::nullopt;
  if (has(encoded, 0, "RIFF") || has(encoded, 0, "RIFX") || has(encoded, 0, "RF64"))
    return riff_damage(encoded);
  if (has(encoded, 0, "FORM")) return aiff_damage(encoded);
  if (has(encoded, 0, "OggS")) return ogg_damage(encoded);
  return mp3_damage(encoded);
}

}  // namespace xp::data
