#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/report/render.h"
#include "core/report/table.h"
#include "core/report/words.h"

namespace xp::report {
namespace {

// So many metrics fit on a screen; md, csv, json and html have all.
constexpr size_t kMetricColumns = 6, kMetricRows = 24;

std::string line_of(const std::vector<std::string>& cells, const std::vector<size_t>& width) {
  std::string out;
  for (size_t i = 0; i < cells.size(); ++i) {
    out += cells[i];
    out += std::string(width[i] - count_letters(cells[i]) + 2, ' ');
  }
  out.resize(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

// What columns belong to, above the first of each; "" where they belong to nothing.
std::string spans_line(const Table& table, std::vector<size_t>& width) {
  if (table.spans.empty()) return "";
  std::string out;
  size_t column = 0, room = 0;
  for (; column < table.labels; ++column) room += width[column] + 2;
  for (const auto& [name, columns] : table.spans) {
    out += std::string(room - count_letters(out), ' ');
    size_t wide = 0;
    for (size_t i = 0; i < columns; ++i) wide += width[column++] + 2;
    // A name that is wider than its columns gets its room from the last of them.
    if (count_letters(name) + 2 > wide) {
      width[column - 1] += count_letters(name) + 2 - wide;
      wide = count_letters(name) + 2;
    }
    out += name;
    room += wide;
  }
  return out + "\n";
}

std::string aligned(const Table& table) {
  std::vector<size_t> width;
  for (const std::string& head : table.head) width.push_back(count_letters(head));
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i)
      width[i] = std::max(width[i], count_letters(row[i].text));
  }
  std::string out = spans_line(table, width);  // may widen columns
  out += line_of(table.head, width);
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const Cell& cell : row) cells.push_back(cell.text);
    out += line_of(cells, width);
  }
  return out;
}

// Markdown has no cells over several columns: each column says what it belongs to.
std::string full_head(const Table& table, size_t column) {
  size_t from = table.labels;
  for (const auto& [name, columns] : table.spans) {
    if (column >= from && column < from + columns) return name + ": " + table.head[column];
    from += columns;
  }
  return table.head[column];
}

std::string escape_markdown(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '_' || c == '`' || c == '<' || c == '\\' || c == '[')
      out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string exact(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

}  // namespace

Preface preface(const Comparison& comparison) {
  Preface out;
  const size_t runs = comparison.runs.size(), groups = comparison.groups.size();
  out.title = fmt::format("{}: {} run{}", comparison.title, runs, runs == 1 ? "" : "s");
  if (groups > 1 && groups != runs) out.title += fmt::format(", {} configurations", groups);
  out.words = plain_words(comparison);
  out.notes = comparison.notes;
  if (!comparison.selected_on_test.empty()) out.notes.push_back(comparison.selected_on_test);
  const auto any = [&](const auto& test) {
    return std::any_of(comparison.groups.begin(), comparison.groups.end(), [&](const Group& group) {
      return std::any_of(group.estimates.begin(), group.estimates.end(), test);
    });
  };
  if (any([](const Estimate& e) { return e.n > 1; }))
    out.notes.emplace_back(
        "a ± b: mean and sample deviation over seeds; differences with 95 % t intervals, paired by "
        "seed where seeds match");
  if (any([](const Estimate& e) { return e.of_clips; }))
    out.notes.emplace_back("a [b, c]: one seed, 95 % interval of the run over its clips or folds");
  return out;
}

std::string render_table(const Comparison& comparison) {
  const Preface head = preface(comparison);
  std::string out = head.title + "\n";
  if (!head.words.empty()) out += head.words + "\n";
  const bool few = comparison.groups.size() <= 3 || comparison.same();
  const size_t limit = few ? kMetricRows : kMetricColumns;
  for (const Table& table : make_tables(comparison, limit)) out += "\n" + aligned(table);
  if (comparison.metrics.size() > limit)
    out += fmt::format("({} more metrics: --metric, or --format md, csv, json, html)\n",
                       comparison.metrics.size() - limit);
  if (!head.notes.empty()) out += "\n";
  for (const std::string& note : head.notes) out += "note: " + note + "\n";
  return out;
}

std::string render_markdown(const Comparison& comparison) {
  const Preface head = preface(comparison);
  std::string out = fmt::format("# {}\n\n<!-- exp-report-query: {} -->\n",
                                escape_markdown(head.title), query_json(comparison));
  if (!head.words.empty()) out += "\n" + escape_markdown(head.words) + "\n";
  for (const Table& table : make_tables(comparison, 0)) {
    out += "\n|";
    for (size_t i = 0; i < table.head.size(); ++i)
      out += " " + escape_markdown(full_head(table, i)) + " |";
    out += "\n|";
    for (size_t i = 0; i < table.head.size(); ++i) out += i < table.labels ? " --- |" : " ---: |";
    for (const auto& row : table.rows) {
      out += "\n|";
      for (const Cell& cell : row) {
        const std::string text = escape_markdown(cell.text);
        out += cell.best ? " **" + text + "** |" : " " + text + " |";
      }
    }
    out += "\n";
  }
  if (!head.notes.empty()) out += "\n";
  for (const std::string& note : head.notes) out += "- " + escape_markdown(note) + "\n";
  return out;
}

std::string render_csv(const Comparison& comparison) {
  std::vector<std::string> cells = {"group", "runs"};
  for (const std::string& key : comparison.keys) cells.push_back(csv_cell(key));
  for (const Metric& metric : comparison.metrics) {
    for (const char* part : {"", "_mean_std", "_mean_lo", "_mean_hi", "_n"})
      cells.push_back(csv_cell(metric.name + part));
  }
  cells.insert(cells.end(), {"selected_on_test", std::string(kQueryColumn)});
  std::string out = fmt::format("{}\n", fmt::join(cells, ","));
  std::string query = csv_cell(query_json(comparison));  // once, in the first row
  for (const Group& group : comparison.groups) {
    std::string uids;
    for (const size_t run : group.runs)
      uids += (uids.empty() ? "" : " ") + comparison.runs[run].uid;
    cells = {csv_cell(group.label), uids};
    for (const auto& value : group.values)
      cells.push_back(value ? csv_cell(tracker::to_text(*value)) : "");
    for (const Estimate& e : group.estimates) {
      cells.insert(cells.end(), {exact(e.mean), exact(e.deviation), exact(e.interval.low),
                                 exact(e.interval.high), fmt::format("{}", e.n)});
    }
    cells.emplace_back(comparison.selected_on_test.empty() ? "false" : "true");
    cells.push_back(std::exchange(query, ""));
    out += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return out;
}

}  // namespace xp::report
