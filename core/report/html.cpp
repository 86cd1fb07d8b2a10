#include "core/report/html.h"

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/report/grouping.h"
#include "core/report/render.h"
#include "core/report/svg.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

// Above so many runs their list is folded.
constexpr size_t kOpenRuns = 20;

// Inside a page a drawing needs no namespace; without it the page holds no address at all.
std::string inlined(std::string svg) {
  constexpr std::string_view kNamespace = " xmlns=\"http://www.w3.org/2000/svg\"";
  const size_t at = svg.find(kNamespace);
  return at == std::string::npos ? svg : svg.erase(at, kNamespace.size());
}

std::string table_html(const Table& table) {
  std::string out =
      fmt::format("<h2>{}</h2>\n<div class=\"wide\"><table>\n<thead>", escape_xml(table.caption));
  if (!table.spans.empty()) {
    out += fmt::format("<tr class=\"over\"><th colspan=\"{}\"></th>", table.labels);
    for (const auto& [name, columns] : table.spans)
      out += fmt::format("<th class=\"span\" colspan=\"{}\">{}</th>", columns, escape_xml(name));
    out += "</tr>\n";
  }
  out += "<tr>";
  for (size_t i = 0; i < table.head.size(); ++i)
    out += fmt::format("<th{}>{}</th>", i < table.labels ? " class=\"name\"" : "",
                       escape_xml(table.head[i]));
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const char* kind = i < table.labels ? " class=\"name\""
                         : row[i].best    ? " class=\"best\""
                                          : "";
      out += fmt::format("<td{}>{}</td>", kind, escape_xml(row[i].text));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string figure_html(const Figure& figure) {
  return fmt::format("<figure id=\"{}\">\n<h3>{}</h3>\n{}<figcaption>{}</figcaption>\n</figure>\n",
                     escape_xml(figure.id), escape_xml(figure.title), inlined(figure.svg),
                     escape_xml(figure.caption));
}

std::string runs_html(const Comparison& comparison) {
  std::string out = fmt::format(
      "<details{}><summary>{} run{}</summary>\n<div class=\"wide\"><table>\n<thead><tr><th "
      "class=\"name\">run</th><th class=\"name\">configuration</th><th>seed</th><th "
      "class=\"name\">status</th><th class=\"name\">made</th>",
      comparison.runs.size() <= kOpenRuns ? " open" : "", comparison.runs.size(),
      comparison.runs.size() == 1 ? "" : "s");
  const size_t quality = comparison.quality();
  if (quality != npos)
    out += fmt::format("<th>{}</th>", escape_xml(comparison.metrics[quality].name));
  out += "</tr></thead>\n<tbody>\n";
  for (const Group& group : comparison.groups) {
    for (const size_t i : group.runs) {
      const tracker::RunInfo& run = comparison.runs[i];
      out += fmt::format(
          "<tr><td class=\"name uid\">{}</td><td class=\"name\">{}</td><td>{}</td><td "
          "class=\"name\">{}</td><td class=\"name\">{}</td>",
          escape_xml(run.uid), escape_xml(group.label), escape_xml(comparison.seeds[i]),
          tracker::text(run.status), utc_text(run.created_ns));
      if (quality != npos) {
        const auto value = value_of_metric(run, comparison.metrics[quality].name);
        out += fmt::format("<td>{}</td>", value ? number_text(*value) : "-");
      }
      out += "</tr>\n";
    }
  }
  return out + "</tbody></table></div></details>\n";
}

}  // namespace

std::string render_html(const Comparison& comparison, const std::vector<Figure>& figures) {
  const Preface head = preface(comparison);
  std::string out = fmt::format(
      "<!doctype html>\n<!-- exp-report-query: {} -->\n<html lang=\"en\">\n<head>\n<meta "
      "charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta "
      "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>{}</title>\n"
      "<style>\n{}\n{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
      query_json(comparison), escape_xml(head.title), svg_style(":root"), page_style(),
      escape_xml(head.title));
  if (!head.words.empty())
    out += fmt::format("<p class=\"words\">{}</p>\n", escape_xml(head.words));
  if (!head.notes.empty()) {
    out += "<ul class=\"notes\">\n";
    for (const std::string& note : head.notes)
      out += fmt::format("<li>{}</li>\n", escape_xml(note));
    out += "</ul>\n";
  }
  for (const Table& table : make_tables(comparison, 0)) out += table_html(table);
  if (!figures.empty()) {
    out +=
        "<h2>charts</h2>\n<p class=\"hint\" hidden>Hover for values, drag to zoom, double-click "
        "to go back; a click on a legend hides what it names.</p>\n<div class=\"figures\">\n";
    for (const Figure& figure : figures) out += figure_html(figure);
    out += "</div>\n";
  }
  out += "<h2>runs</h2>\n" + runs_html(comparison);
  out += fmt::format(
      "<footer>Made by exp report. The query and the runs are in this file: exp report "
      "--remake FILE makes it again. Data {}.</footer>\n",
      comparison.digest);
  out += fmt::format("</main>\n<script>\n{}</script>\n</body>\n</html>\n", page_script());
  return out;
}

}  // namespace xp::report
