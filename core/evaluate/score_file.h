#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

/// HDF5 files of scores: torch-free. docs/formats/predictions.md.
namespace xp::evaluate {

/// predictions.h5, logits.h5 and embeddings.h5: one row a clip, found by clip id.
struct ScoreFile {
  std::vector<std::string> ids;          ///< [N]
  std::vector<std::string> class_ids;    ///< [K]; empty in embeddings
  std::vector<std::string> class_names;  ///< [K]
  int64_t width = 0;                     ///< K, or the embedding's D
  std::string dataset = "logits";        ///< "logits" or "embeddings"
  std::vector<float> values;             ///< [N, width]
  std::vector<float> targets;            ///< [N, K], empty = none
  std::vector<float> mask;               ///< [N, K] of 0/1, empty = all known
  std::vector<double> times_ms;  ///< [N] of time embeddings: middle of the row's window, ids
                                 ///< repeat; empty = whole clips
  std::map<std::string, std::string> texts;  ///< attributes: "split", "teacher", "key", ...
  std::map<std::string, double> numbers;     ///< attributes: "mAP", ...
};

/// Written beside and renamed. Throws Error (kFailed).
void write_scores(const std::filesystem::path& file, const ScoreFile& scores);

/// Throws Error (kData) naming the file and what it lacks.
ScoreFile read_scores(const std::filesystem::path& file);

}  // namespace xp::evaluate
