#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace xp::data {

/// What of an encoded file is missing or damaged by its container's own account: libsndfile would
/// silently give the sound that is left. Nothing for a whole file, or one whose container does not
/// tell.
///
/// - RIFF, RIFX, RF64, AIFF: a chunk of sound longer than the file; all ones as its size is a
/// writer to a
///   pipe and no fault. 0 is one where sound follows: nothing of it would be read.
/// - Ogg (RFC 3533): bytes between pages, a wrong checksum, a gap in the page numbers, no page that
///   ends the stream.
/// - MP3: fewer bytes than a Xing or Info header promises.
std::optional<std::string> find_damage(std::span<const std::byte> encoded);

}  // namespace xp::data
