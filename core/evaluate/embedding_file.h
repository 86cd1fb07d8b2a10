#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace xp::evaluate {

/// embeddings.h5 (docs/formats/predictions.md) written a few rows at a time: what is in memory does
/// not grow with their number. Written beside and renamed. Throws Error (kFailed).
class EmbeddingFile {
 public:
  /// `ids`: all that may come. `texts`: attributes.
  EmbeddingFile(const std::filesystem::path& file, const std::vector<std::string>& ids,
                const std::map<std::string, std::string>& texts);
  ~EmbeddingFile();

  /// Rows [n, width] of one clip; `times_ms` [n], or empty for whole clips. All rows of a file are
  /// as wide.
  void append(const std::string& id, std::span<const float> values, int64_t width,
              std::span<const double> times_ms);
  int64_t rows() const;
  int64_t width() const;
  /// Takes back what came after the first `rows` rows: of a clip that failed.
  void cut(int64_t rows);
  /// Makes the file appear.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::evaluate
