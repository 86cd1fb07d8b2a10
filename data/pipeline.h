#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "data/clip.h"
#include "data/decode.h"
#include "data/journal.h"
#include "data/shard_writer.h"

namespace xp::data {

/// A clip as a shard stores it.
struct StoredClip {
  ClipRecord record;
  std::vector<std::byte> bytes;
  bool taken_over = false;  ///< from shards that there were, not decoded
};

/// The clip of that index where it need not be decoded; any thread. May be empty.
using TakeOver = std::function<std::optional<StoredClip>(size_t index)>;

/// Has malloc keep what is freed for the next clip, in this process from now on: else it gives the
/// memory back to the system after each clip and a third of decoding a short file is page faults.
void keep_freed_memory();

/// Decodes `clips` on `threads` threads and hands them to `take` on the calling thread, in order;
/// at most a few clips per thread are in flight. Ends early when `take` returns false. What a
/// thread throws is thrown here.
void decode_in_order(std::span<const Clip* const> clips, const DecodeOptions& options,
                     ShardStore store, int threads,
                     const std::function<bool(size_t index, StoredClip&& clip)>& take,
                     const TakeOver& take_over = {});

/// One clip, decoded and stored.
StoredClip store_clip(Decoder& decoder, const Source& source, int64_t rate_hz, ShardStore store);

/// Samples of 16 bits, stored; the length of the source is left to the caller.
StoredClip store_pcm(std::span<const int16_t> pcm, int64_t rate_hz, ShardStore store);

/// Length of the source in seconds by its header alone; 0 when that cannot be told.
double probe_seconds(const Source& source);

}  // namespace xp::data
