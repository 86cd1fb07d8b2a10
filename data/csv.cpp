#include "data/csv.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"

namespace xp::data {

std::string_view utf8_text(const std::string& name, std::string_view text) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    throw Error(Place{name}, "not UTF-8 (UTF-16); save it as UTF-8", Exit::kData);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

CsvReader::CsvReader(std::string name, std::string_view text)
    : name_(std::move(name)), text_(utf8_text(name_, text)) {}

bool CsvReader::at_line_end() const {
  return at_ >= text_.size() || text_[at_] == '\n' ||
         (text_[at_] == '\r' && (at_ + 1 >= text_.size() || text_[at_ + 1] == '\n'));
}

bool CsvReader::quoted_field(std::string& field) {
  ++at_;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') {
      if (at_ < text_.size() && text_[at_] == '"') {
        field += '"';
        ++at_;
        continue;
      }
      // What stands between the closing quote and the comma (a padded blank) is kept out.
      while (!at_line_end() && text_[at_] != ',') {
        if (text_[at_] != ' ' && text_[at_] != '\t') field += text_[at_];
        ++at_;
      }
      return true;
    }
    if (c == '\n') ++line_;
    field += c;
  }
  return false;
}

void CsvReader::plain_field(std::string& field) {
  while (!at_line_end() && text_[at_] != ',') field += text_[at_++];
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.pop_back();
}

bool CsvReader::next(CsvRow& row) {
  row.fields.clear();
  while (at_ < text_.size()) {
    row.line = line_;
    const bool skip = text_[at_] == '#' || at_line_end();
    if (skip) {
      at_ = std::min(text_.find('\n', at_), text_.size() - 1) + 1;
      ++line_;
      continue;
    }
    while (true) {
      while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
      std::string& field = row.fields.emplace_back();
      if (at_ < text_.size() && text_[at_] == '"') {
        if (!quoted_field(field)) fail(row, "a quote is opened and never closed");
      } else {
        plain_field(field);
      }
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      break;
    }
    at_ = std::min(text_.find('\n', at_), text_.size() - 1) + 1;
    ++line_;
    return true;
  }
  return false;
}

std::vector<size_t> CsvReader::header(std::initializer_list<std::string_view> names) {
  CsvRow row;
  if (!next(row))
    throw Error(Place{name_}, "the file is empty; a header was expected", Exit::kData);
  std::vector<size_t> columns;
  for (const std::string_view name : names) {
    const auto found = std::find(row.fields.begin(), row.fields.end(), name);
    if (found == row.fields.end()) {
      fail(row, fmt::format("no column '{}'; there are: {}{}", name, fmt::join(row.fields, ", "),
                            why_one_column(row)));
    }
    columns.push_back(static_cast<size_t>(found - row.fields.begin()));
  }
  return columns;
}

const std::string& CsvReader::at(const CsvRow& row, size_t column) const {
  if (column >= row.fields.size()) {
    fail(row, fmt::format("the row has {} columns, at least {} are needed{}", row.fields.size(),
                          column + 1, why_one_column(row)));
  }
  return row.fields[column];
}

/// A hint where the columns are there, but divided by what some systems write in place of a comma.
std::string CsvReader::why_one_column(const CsvRow& row) {
  if (row.fields.size() != 1) return "";
  for (const auto& [divider, name] : {std::pair{';', "';'"}, {'\t', "tabs"}, {'|', "'|'"}}) {
    if (row.fields[0].find(divider) != std::string::npos)
      return fmt::format(": its columns are divided by {}; save the file with commas", name);
  }
  return "";
}

int64_t CsvReader::integer(const CsvRow& row, size_t column) const {
  const std::string& text = at(row, column);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(row, fmt::format("'{}' is not a whole number", text));
  }
  return value;
}

double CsvReader::number(const CsvRow& row, size_t column) const {
  const std::string& text = at(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(row, fmt::format("'{}' is not a number", text));
  return value;
}

void CsvReader::fail(const CsvRow& row, const std::string& message) const {
  Place place;
  place.file = name_;
  place.line = row.line;
  throw Error(place, message, Exit::kData);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::vector<std::string> split_any(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (true) {
    const size_t first = text.find_first_not_of(separators);
    if (first == std::string_view::npos) return parts;
    text.remove_prefix(first);
    const size_t end = std::min(text.find_first_of(separators), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

}  // namespace xp::data
