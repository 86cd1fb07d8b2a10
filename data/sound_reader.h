#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/encoded.h"

namespace xp::data {

/// The stretch of a sound that is read.
struct SoundStretch {
  double start_s = 0;
  double length_s = 0;      ///< 0 = to the end of the sound
  double longest_s = 3600;  ///< a longer one that has no length_s is bad
};

/// An encoded sound of any format that libsndfile reads (core/schema/sound_files.h has their
/// endings) as mono at its own rate, a block at a time: the mean of its channels.
class SoundReader {
 public:
  /// Opens it; `encoded` must outlive this.
  SoundReader(Encoded& encoded, const SoundStretch& stretch);
  ~SoundReader();
  SoundReader(SoundReader&&) noexcept;
  SoundReader& operator=(SoundReader&&) noexcept;

  /// Appends the next block, nominal range [-1, 1]. False at the end, and where the sound turns out
  /// to be bad.
  bool next(std::vector<float>& mono);

  /// Why the sound is bad, in words for the report; empty = good so far, and for good once `next`
  /// was false.
  const std::string& problem() const;
  int64_t rate_hz() const;   ///< 0 where it could not be opened
  int64_t channels() const;  ///< the same
  size_t read() const;       ///< samples until now
  bool finite() const;       ///< all of them are numbers
  /// As many samples as there are by the header, where that is plausible: it may lie.
  size_t promised() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::data
