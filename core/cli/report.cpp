#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/printable.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "core/report/comparison.h"
#include "core/report/figures.h"
#include "core/report/html.h"
#include "core/report/render.h"
#include "core/report/svg.h"

namespace xp::cli {
namespace {

using report::Comparison;
using report::Format;

/// As PlainOutput prints it: names of others in a file may be looked at in a terminal as well.
std::string plain(const std::string& text, Format format) {
  const bool holds_json = format == Format::kJson || format == Format::kHtml;
  return printable_lines(holds_json ? printable_json(text) : text);
}

std::string rendered(tracker::Query& query, const Comparison& comparison, Format format) {
  switch (format) {
    case Format::kHtml:
      return report::render_html(comparison, report::make_figures(query, comparison));
    case Format::kMarkdown:
      return report::render_markdown(comparison);
    case Format::kCsv:
      return report::render_csv(comparison);
    case Format::kJson:
      return report::render_json(comparison);
    case Format::kLatex:
      return report::render_latex(comparison);
    default:
      return report::render_table(comparison);
  }
}

class Report : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option(
        "targets", request_.targets,
        "runs, sweeps, names of experiments or filters (default: the newest sweep, else "
        "the newest experiment)");
    declared.option("--metric", request_.metrics, "a metric, or its last part: mAP")
        .comma_separated();
    declared.option("--x", request_.x, "draw --y over this key or metric");
    declared.option("--y", request_.y, "the metric of that chart");
    declared.option("--format", format_, "table, md, html, csv, json, latex or svg");
    declared.option("-o,--output", output_, "write to this file; its ending names the format");
    declared.option("--remake", remake_, "make an earlier report again, from the query in it");
    declared.footer(
        "Compares runs: what differs, metrics with their spread over seeds, and what it means.\n"
        "docs/report.md says how the numbers are made.\n\nExamples:\n"
        "  exp report\n"
        "  exp report last-1 last\n"
        "  exp report 'tome.r>=16 and status=done' --metric mAP,clips_per_s\n"
        "  exp report 3F9KQ2ZT --format html -o report.html\n"
        "  exp report --x tome.r --y eval.mAP --format svg -o figures/\n"
        "  exp report --remake report.html\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    std::string digest;
    if (!remake_.empty()) {
      report::Remade remade = report::read_query(read_file(remake_));
      request_ = std::move(remade.request);
      digest = std::move(remade.digest);
      if (format_.empty()) remade_format_ = remade.format;
    }
    if (!request_.x.empty() && request_.y.empty()) throw Error("--x needs --y METRIC beside it");
    const Comparison comparison = report::compare(query, request_);
    report::asked_figures(
        comparison);  // a wrong --x is an error in every format, not only where it is drawn
    if (!digest.empty() && digest != comparison.digest)
      log::warn("the runs have changed since {} was made", remake_.string());
    return write(query, comparison, chosen_format(session));
  }

 private:
  Format chosen_format(const Session& session) const {
    if (!format_.empty()) return report::format_of(format_);
    if (session.json) return Format::kJson;
    if (!remake_.empty()) return remade_format_;
    const std::map<std::string, Format> endings = {
        {".md", Format::kMarkdown}, {".html", Format::kHtml}, {".csv", Format::kCsv},
        {".json", Format::kJson},   {".tex", Format::kLatex}, {".svg", Format::kSvg}};
    const std::string ending = output_.extension().string();
    const auto at = endings.find(ending);
    if (at != endings.end()) return at->second;
    if (ending.empty() || ending == ".txt") return Format::kTable;
    throw Error(
        fmt::format("-o {}: no format has the ending {}; .md, .html, .csv, .json, .tex, .svg "
                    "and .txt do, or say --format",
                    output_.string(), ending));
  }

  int write(tracker::Query& query, const Comparison& comparison, Format format) const {
    if (format == Format::kSvg) return write_figures(query, comparison);
    const std::string text = rendered(query, comparison, format);
    if (output_.empty()) {
      fmt::print("{}", text);
      return 0;
    }
    write_file_atomic(output_, plain(text, format));
    log::info("{} is written", output_.string());
    return 0;
  }

  /// Into a folder every chart, each a file; into FILE.svg the one that --x and --y ask for.
  int write_figures(tracker::Query& query, const Comparison& comparison) const {
    if (output_.empty()) throw Error("--format svg needs -o DIR, or -o FILE.svg with --x and --y");
    const bool one = output_.extension() == ".svg";
    const auto figures =
        one ? report::asked_figures(comparison) : report::make_figures(query, comparison);
    if (figures.empty())
      throw Error(
          one ? "-o FILE.svg needs --x KEY --y METRIC; -o DIR takes every chart"
              : "there is nothing to draw: these runs differ in no number and have no curves",
          one ? Exit::kUsage : Exit::kData);
    if (!one) std::filesystem::create_directories(output_);
    for (const report::Figure& figure : figures) {
      const auto file = one ? output_ : output_ / (figure.id + ".svg");
      write_file_atomic(file, plain(report::svg_file(figure.svg, figure.title), Format::kSvg));
      log::info("{} is written", file.string());
    }
    return 0;
  }

  report::Request request_;
  std::string format_;
  std::filesystem::path output_, remake_;
  Format remade_format_ = Format::kTable;
};

}  // namespace

std::unique_ptr<Command> make_report() { return std::make_unique<Report>(); }

}  // namespace xp::cli
