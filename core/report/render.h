#pragma once

#include <string>
#include <string_view>

#include "core/report/comparison.h"

namespace xp::report {

enum class Format { kTable, kMarkdown, kHtml, kCsv, kJson, kLatex, kSvg };

/// "table", "md", "html", "csv", "json", "latex", "svg". Throws Error with the nearest name.
Format format_of(std::string_view name);

/// What a report says before its tables: what was compared, the plain words, what to know.
struct Preface {
  std::string title, words;
  std::vector<std::string> notes;
};
Preface preface(const Comparison& comparison);

/// The last column of a CSV: the query, in its first row.
constexpr std::string_view kQueryColumn = "exp_report_query";

/// Each is deterministic: the same comparison gives the same bytes, and embeds the query.
std::string render_table(const Comparison& comparison);
std::string render_markdown(const Comparison& comparison);
std::string render_csv(const Comparison& comparison);
std::string render_json(const Comparison& comparison);
std::string render_latex(const Comparison& comparison);

/// The request and the digest of what it found, as one line of JSON without < and >.
std::string query_json(const Comparison& comparison);

/// What an earlier report of any format but SVG was made from.
struct Remade {
  Request request;
  Format format = Format::kTable;
  std::string digest;
};
/// Reads the query that `text`, an earlier report, holds. Throws Error (kData) when it holds none.
Remade read_query(std::string_view text);

}  // namespace xp::report
