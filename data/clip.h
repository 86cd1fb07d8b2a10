#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace xp::data {

/// One label of a clip: an index into the set's class list and its value, 1 for a plain label or a
/// probability in (0, 1].
struct Label {
  int32_t index = 0;
  float value = 1.0F;
};

/// A sound file, or a cut of one.
struct FileSource {
  std::string file;     ///< path
  double start_s = 0;   ///< where the clip begins, seconds
  double length_s = 0;  ///< 0 = to the end of the file
};

/// An encoded sound file kept as a row of bytes in an HDF5 data set (PaSST's mp3 containers).
struct BlobSource {
  std::string file;     ///< the HDF5 file
  std::string dataset;  ///< a one-dimensional data set of variable-length uint8
  int64_t row = 0;
};

/// A clip that is computed: the same `number`, length and sounds give the same clip at any rate.
struct SyntheticSource {
  int64_t number = 0;
  double length_s = 5;
  std::vector<int32_t> sounds;  ///< classes that are heard
};

/// Digital silence of `length_s` seconds.
struct SilentSource {
  double length_s = 1;
};

using Source = std::variant<FileSource, BlobSource, SyntheticSource, SilentSource>;

/// What a data set knows about one clip. A set lists clips; it never decodes them.
struct Clip {
  std::string id;  ///< unique within its set; for AudioSet the YouTube id
  Source source;
  int16_t split = -1;          ///< index into Listing::splits, -1 = none (the folds decide)
  int16_t fold = 0;            ///< 1-based, 0 = the set has no folds
  std::vector<Label> labels;   ///< sorted by index, each index once
  std::vector<int32_t> known;  ///< classes that were judged at all; read only where Listing::masked
};

/// The source as a person would look for it: "audio/1-17-A-0.wav", "x.hdf row 5", "synthetic 12".
std::string describe(const Source& source);

}  // namespace xp::data
