#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/base/files.h"

namespace xp::tracker {

/// CRC-32C (Castagnoli), as TFRecord files use it.
uint32_t crc32c(std::string_view bytes);

/// A TensorBoard event file: TFRecord framing (length, masked CRC-32C of the length, data, masked
/// CRC-32C of the data) around protobuf messages `tensorflow.Event`, written field by field:
/// event.proto and summary.proto of TensorBoard.
class EventFile {
 public:
  EventFile(const std::filesystem::path& file, int64_t time_ns);

  /// A float with the scalars plug-in's name: TensorBoard's data server reads no doubles.
  void scalar(std::string_view tag, int64_t step, double value, int64_t time_ns);
  /// Markdown for the text plug-in.
  void text(std::string_view tag, std::string_view markdown, int64_t time_ns);
  /// Throws Error (kFailed) when the file could not be written.
  void close();

 private:
  void record(const std::string& event);

  AtomicFile file_;
  std::ofstream out_;
};

}  // namespace xp::tracker
