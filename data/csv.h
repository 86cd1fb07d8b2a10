#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace xp::data {

/// The text without its byte order mark. Throws Error (kData) naming the file for UTF-16, which a
/// spreadsheet may save.
std::string_view utf8_text(const std::string& name, std::string_view text);

/// One row of a CSV text.
struct CsvRow {
  int line = 0;  ///< 1-based, where the row begins
  std::vector<std::string> fields;
};

/// CSV as found in audio data sets: quoted fields with doubled quotes and line breaks inside,
/// blanks before a field skipped, LF or CRLF, an optional byte order mark, `#` lines and empty
/// lines skipped. A quote inside an unquoted field is an ordinary letter. One pass, one row in
/// memory.
class CsvReader {
 public:
  /// `name` is the file as the user knows it, for messages; `text` must outlive the reader. Throws
  /// as `utf8_text`.
  CsvReader(std::string name, std::string_view text);

  /// False at the end. Throws Error (kData) with file and line for a quote that is never closed.
  bool next(CsvRow& row);

  /// Takes the first row as header and finds the columns; throws Error (kData) naming the one that
  /// is missing and those that are there. Returns their indices in the order of `names`.
  std::vector<size_t> header(std::initializer_list<std::string_view> names);

  /// The row's field, or Error (kData) saying that the row is too short.
  const std::string& at(const CsvRow& row, size_t column) const;
  /// A whole number; Error (kData) naming file, line and text otherwise.
  int64_t integer(const CsvRow& row, size_t column) const;
  double number(const CsvRow& row, size_t column) const;
  [[noreturn]] void fail(const CsvRow& row, const std::string& message) const;

 private:
  static std::string why_one_column(const CsvRow& row);
  bool quoted_field(std::string& field);
  void plain_field(std::string& field);
  bool at_line_end() const;

  std::string name_;
  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
};

/// Without blanks, tabs and line ends at both ends.
std::string_view trimmed(std::string_view text);

/// The parts of `text` between any of `separators`, without empty ones.
std::vector<std::string> split_any(std::string_view text, std::string_view separators);

}  // namespace xp::data
