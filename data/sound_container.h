#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "data/encoded.h"

namespace xp::data {

/// A size in the header of a file that a program wrote into a pipe, where it could not go back to
/// fill it in: what stands there, and what is to be read in its place so that the sound is read to
/// the end of the file.
struct OpenSize {
  size_t at = 0;                     ///< in the file
  std::array<std::byte, 8> bytes{};  ///< the first `count` of them
  size_t count = 0;
};
/// RIFF, RIFX, RF64: a chunk of sound of 0 bytes with sound behind it. Sizes from 0x7FFFF000 (SoX)
/// to 0xFFFFFFFF (ffmpeg) say the same, but libsndfile reads those to the end by itself.
std::optional<OpenSize> find_open_size(Encoded& encoded);

/// What a file that is no sound of a known format is, by its first bytes: "an MP4 (AAC) file:
/// convert with ffmpeg"; nothing when they say nothing.
std::optional<std::string> what_it_is(Encoded& bytes);

/// What of an encoded file is missing or damaged by its container's own account: libsndfile would
/// silently give the sound that is left. Nothing for a whole file, or one whose container does not
/// tell.
///
/// - RIFF, RIFX, RF64, AIFF: a chunk of sound longer than the file, but for the sizes of writers to
///   a pipe; a sample rate of 0.
/// - Ogg (RFC 3533): bytes between pages, a wrong checksum, a gap in the page numbers, no page that
///   ends the stream.
/// - MP3: fewer bytes than a Xing or Info header promises.
std::optional<std::string> find_damage(Encoded& encoded);

}  // namespace xp::data
