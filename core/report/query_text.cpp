#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/report/render.h"

namespace xp::report {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kMarker = "exp-report-query: ";

Remade from_json(const ordered_json& json, Format format) {
  Remade out;
  out.format = format;
  out.digest = json.at("digest").get<std::string>();
  Request& request = out.request;
  request.targets = json.at("targets").get<std::vector<std::string>>();
  request.metrics = json.at("metrics").get<std::vector<std::string>>();
  request.x = json.at("x").get<std::string>();
  request.y = json.at("y").get<std::string>();
  request.uids = json.at("runs").get<std::vector<std::string>>();
  request.title = json.at("title").get<std::string>();
  request.named = json.at("named").get<bool>();
  return out;
}

// What kind of report a text with a marker is, by its first letters.
Format kind_of(std::string_view text) {
  if (text.starts_with("<!doctype")) return Format::kHtml;
  if (text.starts_with("%")) return Format::kLatex;
  if (text.starts_with("#")) return Format::kMarkdown;
  return Format::kTable;
}

// The query of a CSV: its first row's last cell, where quotes are doubled.
std::string from_csv(std::string_view text, const Error& missing) {
  const size_t begin = text.find("\"{\"\"version\"\""), line = text.find("}\"\n", begin);
  if (begin == std::string_view::npos || line == std::string_view::npos) throw missing;
  std::string out;
  for (size_t i = begin + 1; i <= line; ++i) {
    out += text[i];
    if (text[i] == '"') ++i;
  }
  return out;
}

}  // namespace

std::string query_json(const Comparison& comparison) {
  const Request& request = comparison.request;
  const ordered_json json = {{"version", 1},
                             {"targets", request.targets},
                             {"metrics", request.metrics},
                             {"x", request.x},
                             {"y", request.y},
                             {"title", request.title},
                             {"named", request.named},
                             {"runs", request.uids},
                             {"digest", comparison.digest}};
  std::string out;
  for (const char c : json.dump(-1, ' ', true, ordered_json::error_handler_t::replace)) {
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '-' && !out.empty() && out.back() == '-') {
      out += "\\u002d";  // "--" may not stand in a comment of HTML
    } else {
      out += c;
    }
  }
  return out;
}

Remade read_query(std::string_view text) {
  const Error missing(
      "this file holds no query of a report: it was not written by `exp report`, or "
      "as svg, which keeps none",
      Exit::kData);
  try {
    if (text.starts_with("{"))
      return from_json(ordered_json::parse(text).at("query"), Format::kJson);
    if (text.starts_with("group,runs,") && text.find(kQueryColumn) != std::string_view::npos)
      return from_json(ordered_json::parse(from_csv(text, missing)), Format::kCsv);
    const size_t at = text.find(kMarker);
    if (at == std::string_view::npos) throw missing;
    const size_t begin = at + kMarker.size();
    const size_t line = std::min(text.find('\n', begin), text.size());
    const size_t end = text.rfind('}', line);
    if (end == std::string_view::npos || end < begin) throw missing;
    return from_json(ordered_json::parse(text.substr(begin, end + 1 - begin)), kind_of(text));
  } catch (const ordered_json::exception&) {
    throw missing;
  }
}

}  // namespace xp::report
