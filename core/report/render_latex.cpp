#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "core/report/render.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

// Signs beyond ASCII that our own texts have.
const std::map<char32_t, const char*>& signs() {
  static const std::map<char32_t, const char*> table = {{0x00B0, "\\ensuremath{^\\circ}"},
                                                        {0x00B1, "\\ensuremath{\\pm}"},
                                                        {0x00B5, "\\ensuremath{\\mu}"},
                                                        {0x00D7, "\\ensuremath{\\times}"},
                                                        {0x00F7, "\\ensuremath{\\div}"},
                                                        {0x2013, "--"},
                                                        {0x2014, "---"},
                                                        {0x2026, "\\ldots{}"},
                                                        {0x2192, "\\ensuremath{\\to}"},
                                                        {0x2212, "\\ensuremath{-}"},
                                                        {0x2264, "\\ensuremath{\\leq}"},
                                                        {0x2265, "\\ensuremath{\\geq}"}};
  return table;
}

// Letters that every LaTeX writes with the font encoding T1.
bool is_latin(char32_t letter) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x00C0, 0x00FF}, {0x0102, 0x0107}, {0x010C, 0x0111}, {0x0118, 0x011B}, {0x011E, 0x011F},
      {0x0130, 0x0131}, {0x0139, 0x013A}, {0x013D, 0x013E}, {0x0141, 0x0144}, {0x0147, 0x0148},
      {0x0150, 0x0155}, {0x0158, 0x015B}, {0x015E, 0x0165}, {0x016E, 0x0171}, {0x0178, 0x017E}};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [letter](const auto& range) {
    return letter >= range.first && letter <= range.second;
  });
}

// The character that begins at `at`, and its length in bytes; what is not UTF-8 is one byte,
// U+FFFD.
std::pair<char32_t, size_t> character(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const size_t length = first < 0x80    ? 1
                        : first >= 0xF0 ? 4
                        : first >= 0xE0 ? 3
                        : first >= 0xC2 ? 2
                                        : 0;
  if (length == 0 || at + length > text.size()) return {0xFFFD, 1};
  char32_t out = length == 1 ? first : first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return {0xFFFD, 1};
    out = out << 6U | (byte(at + i) & 0x3FU);
  }
  return {out, length};
}

// A letter of another script: LuaLaTeX and XeLaTeX write it, pdfLaTeX says its number.
std::string other_letter(const std::string& letter, char32_t code) {
  return fmt::format("\\expletter{{{}}}{{{:04X}}}", code == 0xFFFD ? "?" : letter,
                     static_cast<uint32_t>(code));
}

// Every character that TeX takes for something else, or for nothing.
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
      default: {
        const auto [code, length] = character(text, i);
        const auto sign = signs().find(code);
        const std::string letter = text.substr(i, length);
        if (sign != signs().end()) {
          out += sign->second;
        } else if (code < 0x20 || code == 0x7F) {
          out += ' ';
        } else {
          out += code < 0x80 || is_latin(code) ? letter : other_letter(letter, code);
        }
        i += length - 1;
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

// Not wider than the page: a table that would be is scaled.
std::string tabular(const Table& table) {
  std::string out =
      "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n\\begin{tabular}{";
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
  return out + "\\bottomrule\n\\end{tabular}}\n";
}

}  // namespace

std::string render_latex(const Comparison& comparison) {
  const Preface head = preface(comparison);
  std::string out = fmt::format(
      "% exp-report-query: {}\n% needs \\usepackage{{booktabs}}, \\usepackage{{graphicx}}, "
      "\\usepackage[T1]{{fontenc}} and \\usepackage[utf8]{{inputenc}}; letters of other scripts "
      "need LuaLaTeX or XeLaTeX and a font that has them\n"
      "\\providecommand{{\\expletter}}[2]{{\\ifdefined\\Umathchar #1\\else\\texttt{{U+#2}}\\fi}}\n",
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
