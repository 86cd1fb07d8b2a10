#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ops/spectrogram_image.h"
#include "data/dataset.h"

namespace xp::schema {
struct DatasetOptions;
}

namespace xp::data {

/// An 8-bit RGB PNG, or a 16-bit mono WAV (samples beyond [-1, 1] are clipped). Both appear whole.
/// Throw Error (kFailed) when the file cannot be written.
void write_png(const std::filesystem::path& file, const ops::Image& image);
void write_wav(const std::filesystem::path& file, std::span<const float> wave, int64_t rate_hz);

/// What `write_ast_files` made.
struct AstFiles {
  std::vector<std::string> files;  ///< names in the folder
  int64_t clips = 0;
  int64_t decoded = 0;     ///< clips without a file of their own, written as WAV
  int64_t unlabelled = 0;  ///< clips that are left out: the form has no place for no label
};

/// A data set in AST's form: train.json, val.json, test.json (splits as the recipe names them;
/// empty ones are left out), class_labels_indices.csv and train_weight.csv (AST's sample weights,
/// one a line, in the order of train.json). Clips that are no sound file of their own (computed,
/// cut out, packed in HDF5) are decoded to audio/*.wav at `rate_hz`; where two of them have one
/// name, the later one in the order of the lists ends in -2, -3 .. Throws Error (kData) for a clip
/// that cannot be decoded and a class whose id holds a comma, (kFailed) when the disk refuses.
AstFiles write_ast_files(const JoinedListing& joined, const schema::DatasetOptions& options,
                         int64_t rate_hz, const std::filesystem::path& folder);

/// A segment list without the lines of `absent` ids, which may be quoted there or among blanks;
/// every other byte stays. Returns how many lines were left out.
int64_t write_filtered_segments(const std::filesystem::path& list,
                                const std::set<std::string>& absent,
                                const std::filesystem::path& out);

/// One field of a CSV line, quoted where it must be.
std::string csv_field(std::string_view text);

}  // namespace xp::data
