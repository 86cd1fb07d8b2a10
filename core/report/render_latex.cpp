#include <fmt/format.h>

#include "core/report/render.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

// Every character that TeX takes for something else; letters beyond ASCII that our texts have.
std::string escape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '\\':
        out += "\\textbackslash{}";
        break;
      case '~':
        out += "\\textasciitilde{}";
        break;
      case '^':
        out += "\\textasciicircum{}";
        break;
      case '<':
      case '>':
        out += fmt::format("\\ensuremath{{{}}}", c);
        break;
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        out += '\\';
        out += c;
        break;
      case '[':
      case ']':
        out += fmt::format("{{{}}}", c);  // never an option of the command before
        break;
      case '\n':
      case '\r':
      case '\t':
        out += ' ';
        break;
      default:
        if (text.compare(i, 2, "±") == 0) {
          out += "\\ensuremath{\\pm}";
          ++i;
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string spans_row(const Table& table) {
  if (table.spans.empty()) return "";
  std::string names, rules;
  size_t column = table.labels;
  for (const auto& [name, columns] : table.spans) {
    names += fmt::format(" & \\multicolumn{{{}}}{{c}}{{{}}}", columns, escape(name));
    rules += fmt::format("\\cmidrule(lr){{{}-{}}}", column + 1, column + columns);
    column += columns;
  }
  // The first label's cell is empty before the first "&"; more labels need more of them.
  return std::string(table.labels - 1, '&') + names + " \\\\\n" + rules + "\n";
}

std::string tabular(const Table& table) {
  std::string out = "\\begin{tabular}{";
  for (size_t i = 0; i < table.head.size(); ++i) out += i < table.labels ? 'l' : 'r';
  out += "}\n\\toprule\n" + spans_row(table);
  for (size_t i = 0; i < table.head.size(); ++i)
    out += (i == 0 ? "" : " & ") + escape(table.head[i]);
  out += " \\\\\n\\midrule\n";
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string text = escape(row[i].text);
      out += (i == 0 ? "" : " & ") + (row[i].best ? "\\textbf{" + text + "}" : text);
    }
    out += " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace

std::string render_latex(const Comparison& comparison) {
  const Preface head = preface(comparison);
  std::string out = fmt::format(
      "% exp-report-query: {}\n% needs \\usepackage{{booktabs}} and "
      "\\usepackage[utf8]{{inputenc}}\n",
      query_json(comparison));
  const std::vector<Table> tables = make_tables(comparison, 0);
  for (size_t i = 0; i < tables.size(); ++i) {
    std::string caption = escape(head.title + ", " + tables[i].caption + ".");
    if (i + 1 == tables.size()) {
      if (!head.words.empty()) caption += " " + escape(head.words);
      for (const std::string& note : head.notes) caption += " " + escape(note) + ".";
    }
    out += fmt::format("\\begin{{table}}\n\\centering\n{}\\caption{{{}}}\n\\end{{table}}\n",
                       tabular(tables[i]), caption);
  }
  return out;
}

}  // namespace xp::report
