#include "data/sound_container.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <ogg/ogg.h>

namespace xp::data {
namespace {

using Damage = std::optional<std::string>;

/// Up to N bytes from `at` on, zeros behind the end.
template <size_t N>
std::array<std::byte, N> bytes_at(Encoded& bytes, size_t at) {
  std::array<std::byte, N> out{};
  bytes.read(at, out);
  return out;
}

bool has(Encoded& bytes, size_t at, std::string_view text) {
  constexpr size_t kLongest = 24;
  const std::array<std::byte, kLongest> there = bytes_at<kLongest>(bytes, at);
  return at + text.size() <= bytes.size() &&
         std::memcmp(there.data(), text.data(), text.size()) == 0;
}

template <class Number>
Number little(Encoded& bytes, size_t at) {
  static_assert(std::endian::native == std::endian::little);
  return std::bit_cast<Number>(bytes_at<sizeof(Number)>(bytes, at));
}

uint32_t big32(Encoded& bytes, size_t at) { return __builtin_bswap32(little<uint32_t>(bytes, at)); }

std::string truncated(uint64_t there, uint64_t promised) {
  return fmt::format("truncated: {} of {} bytes of sound are there", there, promised);
}

constexpr uint32_t kOpen = 0x7F000000U;  // and above: sizes of writers to a pipe
constexpr uint64_t kOpenWide = uint64_t{1} << 62U;

bool is_riff(Encoded& bytes) {
  return has(bytes, 0, "RIFF") || has(bytes, 0, "RIFX") || has(bytes, 0, "RF64");
}

/// The chunk of sound of a RIFF, RIFX or RF64 file.
struct RiffSound {
  uint64_t promised = 0;  ///< bytes by its header
  uint64_t there = 0;     ///< bytes from its beginning to the end of the file
  size_t at = 0;          ///< where it begins
  OpenSize size;          ///< where `promised` stands, with `there` in its place
  bool wide = false;      ///< 64 bits that are meant: RF64
  std::optional<uint32_t> rate_hz;
};

OpenSize size_at(size_t at, uint64_t value, size_t count, bool big_endian) {
  OpenSize out{at, {}, count};
  for (size_t i = 0; i < count; ++i)
    out.bytes[big_endian ? count - 1 - i : i] = static_cast<std::byte>(value >> (8 * i));
  return out;
}

std::optional<RiffSound> riff_sound(Encoded& bytes) {
  const bool wide = has(bytes, 0, "RF64");
  const bool big_endian = has(bytes, 0, "RIFX");
  const auto number = [&](size_t at) {
    return big_endian ? big32(bytes, at) : little<uint32_t>(bytes, at);
  };
  RiffSound out;
  std::optional<size_t> wide_size;  // where RF64's ds64 chunk has it
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint32_t size = number(at + 4);
    const size_t there = bytes.size() - at - 8;
    if (wide && has(bytes, at, "ds64") && there >= 16) wide_size = at + 16;
    if (has(bytes, at, "fmt ") && there >= 8) out.rate_hz = number(at + 12);
    if (has(bytes, at, "data")) {
      out.at = at + 8;
      out.there = there;
      out.wide = wide_size.has_value() && size >= kOpen;
      out.promised = out.wide ? little<uint64_t>(bytes, *wide_size) : size;
      out.size = out.wide ? size_at(*wide_size, there, 8, false)
                          : size_at(at + 4, std::min<uint64_t>(there, kOpen), 4, big_endian);
      return out;
    }
    at += 8 + static_cast<size_t>(size) + (size & 1U);
  }
  return std::nullopt;
}

/// Whether chunks stand there that fill the rest of the file, by their names of four letters.
bool chunks_at(Encoded& bytes, size_t at) {
  if (at + 8 > bytes.size()) return false;
  const auto name = bytes_at<4>(bytes, at);
  const bool named = std::all_of(name.begin(), name.end(), [](std::byte letter) {
    return std::isprint(std::to_integer<unsigned char>(letter)) != 0;
  });
  return named && little<uint32_t>(bytes, at + 4) <= bytes.size() - at - 8;
}

Damage riff_damage(Encoded& bytes) {
  const std::optional<RiffSound> sound = riff_sound(bytes);
  if (!sound) return std::nullopt;
  if (sound->rate_hz == 0U) return "sample rate 0 in its header";
  if (sound->promised <= sound->there) return std::nullopt;
  if (sound->promised >= kOpen && !sound->wide) return std::nullopt;
  if (sound->wide && sound->promised >= kOpenWide) return std::nullopt;
  return truncated(sound->there, sound->promised);
}

Damage aiff_damage(Encoded& bytes) {
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint32_t size = big32(bytes, at + 4);
    const size_t there = bytes.size() - at - 8;
    if (has(bytes, at, "SSND") && size > there)
      return size >= kOpen ? std::nullopt : Damage(truncated(there, size));
    at += 8 + static_cast<size_t>(size) + (size & 1U);
  }
  return std::nullopt;
}

/// libogg's reader of pages, which checks their sums.
class OggPages {
 public:
  explicit OggPages(Encoded& bytes) : bytes_(bytes) { ogg_sync_init(&state_); }
  ~OggPages() { ogg_sync_clear(&state_); }
  OggPages(const OggPages&) = delete;
  OggPages& operator=(const OggPages&) = delete;

  /// The length of the next page, 0 at the end, negative where bytes are no page.
  long next(ogg_page& page) {
    constexpr size_t kPiece = 1U << 16U;
    while (true) {
      const long length = ogg_sync_pageseek(&state_, &page);
      if (length != 0 || at_ >= bytes_.size()) return length;
      char* const room = ogg_sync_buffer(&state_, static_cast<long>(kPiece));
      const size_t got = bytes_.read(at_, std::as_writable_bytes(std::span(room, kPiece)));
      if (got == 0) return 0;
      ogg_sync_wrote(&state_, static_cast<long>(got));
      at_ += got;
    }
  }

 private:
  Encoded& bytes_;
  size_t at_ = 0;
  ogg_sync_state state_{};
};

Damage ogg_damage(Encoded& bytes) {
  OggPages pages(bytes);
  ogg_page page{};
  std::map<int, long> numbers;  // of the last page, by stream
  bool ended = false;           // since a stream began: streams may follow each other
  uint64_t at = 0;
  while (const long length = pages.next(page)) {
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
size_t first_mp3_frame(Encoded& bytes) {
  if (!has(bytes, 0, "ID3") || bytes.size() < 10) return 0;
  size_t size = 0;
  const auto tag = bytes_at<10>(bytes, 0);
  for (size_t i = 6; i < 10; ++i)
    size = size << 7U | std::to_integer<size_t>(tag[i] & std::byte{0x7F});
  const bool footer = (tag[5] & std::byte{0x10}) != std::byte{0};
  return 10 + size + (footer ? 10 : 0);
}

/// Sizes of the Xing header: gabriel.mp3-tech.org/mp3infotag.html. The longest frame has 1441
/// bytes; encoders differ by one in what they count.
Damage mp3_damage(Encoded& bytes) {
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

/// What else sounds and downloads are, by letters at a place of the file. In this order.
struct Look {
  size_t at;
  std::string_view letters;
  const char* what;
};
using namespace std::string_view_literals;
constexpr Look kLooks[] = {
    {4, "ftyp"sv, "an MP4 (AAC) file: convert with ffmpeg"},
    {0, "\x1A\x45\xDF\xA3"sv, "a Matroska or WebM file: convert with ffmpeg"},
    {0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"sv, "a WMA file: convert with ffmpeg"},
    {0, "\xFF\xF1"sv, "an AAC file: convert with ffmpeg"},
    {0, "\xFF\xF9"sv, "an AAC file: convert with ffmpeg"},
    {0, "#!AMR"sv, "an AMR file: convert with ffmpeg"},
    {0, "MAC "sv, "a Monkey's Audio file: convert with ffmpeg"},
    {0, "wvpk"sv, "a WavPack file: convert with ffmpeg"},
    {0, "ajkg"sv, "a Shorten file: convert with ffmpeg"},
    {0, "FLV\x01"sv, "a Flash video: convert with ffmpeg"},
    {0, "PK\x03\x04"sv, "a ZIP archive: unpack it"},
    {0, "\x1F\x8B"sv, "a gzip archive: unpack it"},
    {0, "Rar!"sv, "a RAR archive: unpack it"},
    {0, "7z\xBC\xAF"sv, "a 7z archive: unpack it"},
    {0, "%PDF"sv, "a PDF"},
    {0, "version https://git-lfs"sv, "a pointer of Git LFS: fetch the files with git lfs pull"},
    {0, "<?xml"sv, "an XML text: most likely an error that a server answered with"},
};

}  // namespace

std::optional<std::string> what_it_is(Encoded& bytes) {
  for (const Look& look : kLooks) {
    if (has(bytes, look.at, look.letters)) return look.what;
  }
  std::string head;
  for (const std::byte one : bytes_at<512>(bytes, 0))
    head += static_cast<char>(std::tolower(std::to_integer<unsigned char>(one)));
  if (head.find("<html") != head.npos || head.find("<!doctype html") != head.npos)
    return "a web page: the download was redirected to a page";
  return std::nullopt;
}

std::optional<OpenSize> find_open_size(Encoded& encoded) {
  if (!is_riff(encoded)) return std::nullopt;
  const std::optional<RiffSound> sound = riff_sound(encoded);
  if (!sound || sound->there == 0) return std::nullopt;
  const bool open = sound->wide ? sound->promised >= kOpenWide : false;
  const bool empty = sound->promised == 0 && !chunks_at(encoded, sound->at);
  return open || empty ? std::optional(sound->size) : std::nullopt;
}

std::optional<std::string> find_damage(Encoded& encoded) {
  if (encoded.size() < 12) return std::nullopt;
  if (is_riff(encoded)) return riff_damage(encoded);
  if (has(encoded, 0, "FORM")) return aiff_damage(encoded);
  if (has(encoded, 0, "OggS")) return ogg_damage(encoded);
  return mp3_damage(encoded);
}

}  // namespace xp::data
