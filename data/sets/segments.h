#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace xp::data {

/// One line of an AudioSet segment list.
struct Segment {
  std::string id;  ///< 11 letters, may begin with '-' or '_'
  double start_s = 0;
  double end_s = 0;
  std::vector<std::string> mids;
  int line = 0;
};

/// A segment list as published (three `#` lines, blanks after commas, labels in one quoted field)
/// or as it comes back from a spreadsheet (no header, labels spread over several columns with stray
/// quotes, padding commas, CRLF). Throws Error (kData) with file and line: fewer than four columns,
/// times that are no numbers or run backwards, no label, an id that is there twice.
std::vector<Segment> read_segments(const std::filesystem::path& file);
/// The same of a text; `name` is the file in messages.
std::vector<Segment> parse_segments(const std::string& name, std::string_view text);

}  // namespace xp::data
