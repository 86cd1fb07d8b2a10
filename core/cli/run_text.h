#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <nlohmann/json_fwd.hpp>

#include "core/base/terminal.h"
#include "core/cli/command.h"
#include "tracker/query.h"

/// How runs are printed by the commands that look after them.
namespace xp::cli {

/// The workspace's `.exp`.
std::filesystem::path tracker_folder(const Session& session);

/// Opens the workspace for reading and prints its warnings (broken runs, a rebuilt index) on
/// stderr.
tracker::Query open_query(const Session& session);

/// A table for people: columns as wide as their widest cell, numbers to the right. Longer cells
/// than `max_width` letters are cut with an ellipsis. Where a line holds only `line_width` letters
/// (0 = any number) and the table is wider, each row is a block of lines: a column's name, its
/// value.
struct TextTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::string text(size_t max_width = 48,
                   size_t line_width = terminal_columns(STDOUT_FILENO)) const;
};

/// The letters of a uid that people see and may type: its last eight.
std::string short_uid(std::string_view uid);

/// "1 run", "2 runs".
std::string run_count(size_t count);

/// Six significant digits at most.
std::string short_number(double value);

/// "3 min ago", "2 d ago".
std::string age_text(int64_t time_ns);

/// How long the run went, or goes until now.
std::string run_duration(const tracker::RunInfo& run);

/// The value of a filter field, parameter or metric; "" where the run has none.
std::string column_text(const tracker::RunInfo& run, const std::string& column);

/// Everything of the run; numbers that JSON cannot hold are the strings "nan", "inf", "-inf".
nlohmann::ordered_json run_json(const tracker::RunInfo& run);
nlohmann::ordered_json value_json(const tracker::Value& value);
nlohmann::ordered_json number_json(double value);

/// Text as JSON keeps it: bytes that are not UTF-8 are replaced.
std::string dump(const nlohmann::ordered_json& json);

/// The metrics that a person wants in a list: final and epoch-level values of the stages, not
/// per-class ones, bounds of intervals or the system's, the most common first.
std::vector<std::string> headline_metrics(const std::vector<tracker::RunInfo>& runs, size_t count);

}  // namespace xp::cli
