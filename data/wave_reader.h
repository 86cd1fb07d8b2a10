#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "data/decode.h"

namespace xp::data {

/// A sound file from its beginning to its end, in stretches: the samples that a shard of it gives
/// back (Decoder::read, then round_as_stored), bit for bit, in memory that does not grow with the
/// file.
class WaveReader {
 public:
  /// Up to so many samples are held from the first reading on; of a longer file only the stretch
  /// that is asked for.
  static constexpr size_t kHeldWhole = size_t{1} << 22U;

  /// Reads the file through: its length and its peak are known only then. Throws Error (kData)
  /// with the file and why it is bad.
  WaveReader(const std::string& file, const DecodeOptions& options, size_t held_whole = kHeldWhole);
  ~WaveReader();
  WaveReader(WaveReader&&) noexcept;

  int64_t samples() const;
  /// Samples from `begin` on, [begin, begin + out.size()) of [0, samples()): at the rate of the
  /// options, in [-1, 1] or a little beyond. No call begins before the last one did. Throws Error
  /// (kData) for a file that became another one meanwhile.
  void read(int64_t begin, std::span<float> out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::data
