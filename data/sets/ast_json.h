#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace xp::data {

/// One entry of AST's data JSON.
struct AstEntry {
  std::string wav;
  std::vector<std::string> labels;  ///< ids of classes
};

/// {"data": [{"wav": PATH, "labels": "mid1,mid2", ..}, ..]}. Ids are between commas and may hold
/// blanks. Lines that begin with '#' and // or /*
/// */ comments are skipped, unknown keys too. Read as a stream: two million entries cost their own
/// text only. Throws Error (kData) with file, line and what is wrong.
std::vector<AstEntry> read_ast_json(const std::filesystem::path& file);
std::vector<AstEntry> parse_ast_json(const std::string& name, std::string text);

}  // namespace xp::data
