#include "data/sets/segments.h"

#include <unordered_map>

#include <fmt/format.h>

#include "core/base/files.h"
#include "data/csv.h"

namespace xp::data {

std::vector<Segment> read_segments(const std::filesystem::path& file) {
  return parse_segments(file.string(), read_file(file));
}

std::vector<Segment> parse_segments(const std::string& name, std::string_view text) {
  CsvReader csv(name, text);
  std::vector<Segment> segments;
  std::unordered_map<std::string, int> lines;
  CsvRow row;
  while (csv.next(row)) {
    Segment segment;
    segment.id = csv.at(row, 0);
    if (segment.id == "YTID" || segment.id == "ytid") continue;  // a header without its '#'
    segment.line = row.line;
    segment.start_s = csv.number(row, 1);
    segment.end_s = csv.number(row, 2);
    if (segment.id.empty()) csv.fail(row, "no id");
    if (!(segment.end_s > segment.start_s) || segment.start_s < 0) {
      csv.fail(row, fmt::format("the segment ends at {} s and begins at {} s", segment.end_s,
                                segment.start_s));
    }
    for (size_t column = 3; column < row.fields.size(); ++column) {
      for (std::string& mid : split_any(row.fields[column], ", \t\""))
        segment.mids.push_back(std::move(mid));
    }
    if (segment.mids.empty()) csv.fail(row, fmt::format("'{}' has no label", segment.id));
    const auto [other, fresh] = lines.emplace(segment.id, row.line);
    if (!fresh) csv.fail(row, fmt::format("'{}' is in line {} as well", segment.id, other->second));
    segments.push_back(std::move(segment));
  }
  return segments;
}

}  // namespace xp::data
