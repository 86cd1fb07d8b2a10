// The formats: whole texts where they are small, properties where they are pages.
#include "core/report/render.h"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/report/chart.h"
#include "core/report/figures.h"
#include "core/report/grouping.h"
#include "core/report/html.h"
#include "core/report/svg.h"
#include "core/report/table.h"
#include "core/report/timing.h"
#include "tests/report/workspace.h"
#include "tests/testing/shell.h"

namespace xp::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing_workspace::fill_sweep;
using testing_workspace::Made;
using testing_workspace::param;
using testing_workspace::Workspace;

// For looking at: XP_KEEP_REPORTS=DIR keeps the pages that the tests make.
void keep_page(const char* name, const std::string& page) {
  if (const char* folder = std::getenv("XP_KEEP_REPORTS"))
    std::ofstream(std::filesystem::path(folder) / name) << page;
}

Comparison small(Workspace& workspace) {
  workspace.run(0, 0, 0.4123, 100);
  workspace.run(8, 0, 0.4023, 150);
  auto query = workspace.query();
  return compare(query, {});
}

TEST(NumberText, DigitsComeFromTheDeviation) {
  struct Case {
    double value, deviation;
    const char* want;
  };
  const Case cases[] = {{0.41234, 0.0031, "0.4123"},
                        {0.41234, 0.12, "0.41"},
                        {1234.5, 12, "1234"},
                        {1234.56, kNaN, "1235"},
                        {0.5, 0, "0.5"},
                        {-0.00001, 0.1, "0.00"},
                        {NAN, 1, "nan"},
                        {-INFINITY, 1, "-inf"}};
  for (const Case& c : cases) EXPECT_EQ(number_text(c.value, c.deviation), c.want) << c.value;
}

TEST(Render, TableOfTwoRunsIsWhole) {
  Workspace workspace;
  const Comparison comparison = small(workspace);
  const auto id = [&](size_t i) { return comparison.runs[i].uid.substr(18); };
  EXPECT_EQ(
      render_table(comparison),
      "experiment exp: 2 runs\n"
      "tome.r = 8 against tome.r = 0: -0.01 mAP, 1.50x faster. One seed each and no interval: "
      "these differences may be chance.\n"
      "\n"
      "key     " +
          id(0) + "  " + id(1) +
          "\n"
          "tome.r  0         8\n"
          "\n"
          "metric            tome.r = 0  tome.r = 8  difference\n"
          "eval.mAP          0.4123      0.4023      -0.01\n"
          "eval.clips_per_s  100         150         +50\n");
}

TEST(Render, MarkdownBestIsBold) {
  Workspace workspace;
  const std::string text = render_markdown(small(workspace));
  EXPECT_THAT(text, HasSubstr("| eval.mAP | **0.4123** | 0.4023 | -0.01 |"));
  EXPECT_THAT(text, HasSubstr("| eval.clips\\_per\\_s | 100 | **150** | +50 |"));
}

TEST(Render, CsvHasARowForEachConfiguration) {
  Workspace workspace;
  const Comparison comparison = small(workspace);
  EXPECT_THAT(render_csv(comparison),
              HasSubstr("group,runs,tome.r,eval.mAP,eval.mAP_mean_std,eval.mAP_mean_lo,"
                        "eval.mAP_mean_hi,eval.mAP_n,eval.clips_per_s,"));
  EXPECT_THAT(render_csv(comparison), HasSubstr("tome.r = 8," + comparison.runs[1].uid +
                                                ",8,0.4023,,,,1,150,,,,1,false,\n"));
}

TEST(Render, JsonIsJson) {
  Workspace workspace;
  const auto json = nlohmann::json::parse(render_json(small(workspace)));
  EXPECT_EQ(json["keys"][0], "tome.r");
  EXPECT_EQ(json["groups"][1]["metrics"]["eval.mAP"]["mean"], 0.4023);
  EXPECT_TRUE(json["groups"][1]["metrics"]["eval.mAP"]["lo"].is_null());
}

TEST(Render, EveryFormatSaysSelectedOnTest) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  const Comparison comparison = compare(query, {});
  for (const std::string& text :
       {render_table(comparison), render_markdown(comparison), render_json(comparison),
        render_latex(comparison), render_html(comparison, {})})
    EXPECT_THAT(text, HasSubstr("selected on test"));
  const std::string csv = render_csv(comparison);
  EXPECT_THAT(csv, HasSubstr(",selected_on_test,exp_report_query\n"));
  EXPECT_THAT(csv, HasSubstr(",true,\"{\"\"version\"\":1,"));
  EXPECT_THAT(csv, HasSubstr(",true,\n"));
}

bool has_latex() {
  return testing::shell("command -v pdflatex && kpsewhich booktabs.sty graphicx.sty").code == 0;
}

// The file between what its first lines ask for; what pdfLaTeX says.
testing::Shell compiled(const std::filesystem::path& folder, const std::string& text) {
  write_file_atomic(folder / "report.tex",
                    "\\documentclass{article}\\usepackage{booktabs}\\usepackage{graphicx}\n"
                    "\\usepackage[T1]{fontenc}\\usepackage[utf8]{inputenc}\n\\begin{document}\n" +
                        text + "\\end{document}\n");
  return testing::shell("cd '" + folder.string() +
                        "' && pdflatex -halt-on-error -interaction=nonstopmode report.tex");
}

TEST(RenderIntegration, LatexEscapesAndCompiles) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  const std::string text = render_latex(compare(query, {}));
  EXPECT_THAT(text, HasSubstr("\\toprule"));
  EXPECT_THAT(text, HasSubstr("eval.clips\\_per\\_s"));
  EXPECT_THAT(text, HasSubstr("\\textbf{"));
  if (!has_latex()) GTEST_SKIP() << "no pdflatex with booktabs here";
  const testing::Shell done = compiled(workspace.folder(), text);
  EXPECT_EQ(done.code, 0) << done.text;
}

// Twenty columns and names of other scripts: it compiles, and no line is wider than the page.
TEST(RenderIntegration, LatexOfWideTablesAndOtherScriptsCompiles) {
  Workspace workspace;
  for (const int64_t r : {0, 8}) {
    Made made;
    made.name = "\u72ac \u0416\u0443\u043a \u017dlu\u0165ou\u010dk\u00fd \u2026";
    made.params = {param("tome.r", r)};
    for (int i = 0; i < 20; ++i)
      made.finals.emplace_back(fmt::format("a_long_name_of_metric_{}", i),
                               0.1 * i + static_cast<double>(r));
    workspace.add(made);
  }
  auto query = workspace.query();
  Request request;
  for (int i = 0; i < 20; ++i)
    request.metrics.push_back(fmt::format("eval.a_long_name_of_metric_{}", i));
  const std::string text = render_latex(compare(query, request));
  EXPECT_THAT(text, HasSubstr("\\expletter{\u72ac}{72AC}"));
  EXPECT_THAT(text, HasSubstr("\u017dlu\u0165ou\u010dk\u00fd"));
  if (!has_latex()) GTEST_SKIP() << "no pdflatex with booktabs here";
  const testing::Shell done = compiled(workspace.folder(), text);
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_EQ(done.text.find("Overfull"), std::string::npos) << done.text;
}

TEST(Render, PageNeedsNoNetworkAndIsTheSameTwice) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  const Comparison comparison = compare(query, {});
  const auto figures = make_figures(query, comparison);
  const std::string page = render_html(comparison, figures);
  for (const char* outside : {"http:", "https:", "//www", " src=", "@import", "url(/"})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  EXPECT_THAT(page, Not(HasSubstr("<tome>")));  // names are escaped
  auto again = workspace.query();
  EXPECT_EQ(render_html(compare(again, {}), make_figures(again, compare(again, {}))), page);
  keep_page("sweep.html", page);
}

TEST(Render, EveryFormatCanBeMadeAgain) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  Request request;
  request.targets = {"tome.r>=8"};
  request.metrics = {"mAP"};
  const Comparison comparison = compare(query, request);
  workspace.run(32, 0, 0.1);  // would match now, and must not change the old report
  const auto again = [&](const std::string& text) {
    auto other = workspace.query();
    const Remade remade = read_query(text);
    const Comparison made = compare(other, remade.request);
    EXPECT_EQ(made.digest, remade.digest);
    return made;
  };
  std::string text = render_markdown(comparison);
  EXPECT_EQ(render_markdown(again(text)), text);
  text = render_latex(comparison);
  EXPECT_EQ(render_latex(again(text)), text);
  text = render_json(comparison);
  EXPECT_EQ(render_json(again(text)), text);
  text = render_csv(comparison);
  EXPECT_EQ(render_csv(again(text)), text);
  EXPECT_EQ(read_query(text).format, Format::kCsv);
  text = render_html(comparison, make_figures(query, comparison));
  auto other = workspace.query();
  const Comparison made = again(text);
  EXPECT_EQ(render_html(made, make_figures(other, made)), text);
  EXPECT_EQ(read_query(text).format, Format::kHtml);
}

TEST(Render, AFileWithoutAQueryIsNamedSo) {
  try {
    read_query("group,runs\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "this file holds no query of a report: it was not written by `exp report`, or as "
                 "svg, which keeps none");
  }
}

// Token merging with and without a teacher: the columns of such a study side by side.
void fill_crossing(Workspace& workspace) {
  for (const double lambda : {0.1, 1.0}) {
    for (const int64_t r : {0, 16, 32}) {
      Made made;
      made.params = {param("tome.r", r), param("kd.lambda", lambda),
                     param("experiment.seed", int64_t{0})};
      const double size = static_cast<double>(r), drop = 0.00001 * size * size;
      made.finals = {{"acc", 0.5 - drop},
                     {"mAP", 0.42 - 0.02 * lambda - drop},
                     {"auc", 0.95},
                     {"seconds", 8 - 0.125 * size},
                     {"clips_per_s", 100 + 5 * size}};
      made.validation_loss = {0.5, 0.25 + drop};
      workspace.add(made);
    }
  }
}

TEST(Render, ACrossedSweepHasItsColumnsSideBySide) {
  Workspace workspace;
  fill_crossing(workspace);
  auto query = workspace.query();
  Request request;
  request.metrics = {"acc", "mAP", "auc", "loss", "clips_per_s", "seconds"};
  const Comparison comparison = compare(query, request);
  const std::vector<Table> tables = make_tables(comparison, 0);
  ASSERT_EQ(tables.size(), 2U);
  EXPECT_EQ(tables[1].caption, "by tome.r");
  const std::string text = render_table(comparison);
  EXPECT_THAT(
      text,
      HasSubstr("        kd.lambda = 0.1                                     kd.lambda = 1.0\n"
                "tome.r  acc     mAP     auc   loss    clips_per_s  seconds  acc     mAP     auc   "
                "loss    "
                "clips_per_s  seconds\n"
                "0       0.5     0.418   0.95  0.25    100          8        0.5     0.4     0.95  "
                "0.25    "
                "100          8\n"
                "16      0.4974  0.4154  0.95  0.2526  180          6        0.4974  0.3974  0.95  "
                "0.2526  "
                "180          6\n"));
  EXPECT_THAT(text,
              HasSubstr("With kd.lambda = 0.1: tome.r = 16 is 1.80x faster than 0 at -0.00256 mAP; "
                        "beyond 16 mAP falls off (-0.01024 mAP at 32). With kd.lambda = 1.0:"));
  EXPECT_THAT(text,
              HasSubstr(" At tome.r = 0, kd.lambda = 1.0 against kd.lambda = 0.1: -0.018 mAP."));
  EXPECT_THAT(render_markdown(comparison),
              HasSubstr("| tome.r | kd.lambda = 0.1: acc | kd.lambda = 0.1: mAP |"));
  EXPECT_THAT(render_latex(comparison),
              HasSubstr(" & \\multicolumn{6}{c}{kd.lambda = 0.1} & \\multicolumn{6}{c}{kd.lambda = "
                        "1.0} \\\\\n\\cmidrule(lr){2-7}\\cmidrule(lr){8-13}\n"));
  EXPECT_THAT(render_html(comparison, {}),
              HasSubstr("<th class=\"span\" colspan=\"6\">kd.lambda = 0.1</th>"));
}

TEST(Comparison, EpochsAreTimedFromEndToEnd) {
  Workspace workspace;
  fill_crossing(workspace);
  auto query = workspace.query();
  const Comparison comparison = compare(query, {});
  const size_t at = comparison.find_metric("train.epoch_s");
  ASSERT_NE(at, npos);
  EXPECT_EQ(comparison.metrics[at].better, Better::kLower);
  const auto& points = query.curve(comparison.runs[0].uid, "train.train.clips_per_s").points;
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(value_of_metric(comparison.runs[0], "train.epoch_s"),
            static_cast<double>(points[1].time_ns - points[0].time_ns) * 1e-9);
}

// Throughputs are compared only where the machine was the same and had nothing else to do.
TEST(Comparison, SpeedsOfABusyOrAnotherMachineAreMarked) {
  Workspace workspace;
  for (const int64_t r : {0, 8, 16}) {
    Made made;
    made.params = {param("tome.r", r), param("experiment.seed", int64_t{0})};
    made.finals = {{"mAP", 0.4}, {"clips_per_s", 100}, {"cpu_wait_p", r == 8 ? 0.31 : 0.01}};
    workspace.add(made);
  }
  auto query = workspace.query();
  Comparison comparison = compare(query, {});
  EXPECT_THAT(comparison.notes,
              ::testing::ElementsAre("eval.clips_per_s of 1 run was measured while other work had "
                                     "the cores up to 31 % of the time: it is too low (" +
                                     comparison.runs[1].uid.substr(18) + ")"));
  EXPECT_EQ(comparison.find_metric("cpu_wait_p"), npos) << "no column of its own";
  for (const std::string& text : {render_table(comparison), render_markdown(comparison),
                                  render_html(comparison, {}), render_json(comparison)})
    EXPECT_THAT(text, HasSubstr("31 % of the time"));

  comparison.notes.clear();
  for (tracker::RunInfo& run : comparison.runs) {
    run.metrics.erase("eval.cpu_wait_p");  // a kernel that does not count it
    run.host = "node1";
  }
  add_speed_notes(comparison);
  EXPECT_TRUE(comparison.notes.empty());
  comparison.runs[0].host = "node2";
  add_speed_notes(comparison);
  EXPECT_THAT(comparison.notes,
              ::testing::ElementsAre(
                  "eval.clips_per_s was measured on several machines: node1 (2), node2 (1)"));
}

TEST(Chart, LabelsKeepOffMarksAndEachOther) {
  Chart chart{"c", "c", {"x", false, {}}, {"y", false, {}}, {}};
  Series series{"s", {}};
  for (int i = 0; i < 5; ++i)  // two that are far apart, three that are one heap
    series.points.push_back({i < 2 ? i * 10.0 : 20.0 + i * 1e-3, i < 2 ? i * 1.0 : 2.0 + i * 1e-4,
                             kNaN, kNaN, "", fmt::format("label{}", i)});
  chart.series = {series};
  const std::string svg = draw(chart);
  EXPECT_THAT(svg, HasSubstr(">label0</text>"));
  EXPECT_THAT(svg, HasSubstr(">label1</text>"));
  EXPECT_THAT(svg, HasSubstr(">label2</text>"));
  EXPECT_THAT(svg, HasSubstr(">label3</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">label4</text>")));  // no place is left: hovering tells it
}

TEST(Figures, ASweepHasItsCharts) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  std::vector<std::string> ids;
  for (const Figure& figure : make_figures(query, compare(query, {}))) {
    ids.push_back(figure.id);
    EXPECT_THAT(svg_file(figure.svg, figure.title), HasSubstr("prefers-color-scheme:dark"));
    EXPECT_THAT(figure.svg, Not(HasSubstr("y=\"nan"))) << figure.id;
  }
  for (const char* id : {"eval-map-over-tome-r", "speedup-over-tome-r", "pareto",
                         "curve-train-train-loss", "classes"})
    EXPECT_THAT(ids, ::testing::Contains(id));
}

TEST(Figures, CurvesKeepTheSpikeAndMarkTheNaN) {
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  const auto figures = curve_figures(query, compare(query, {}));
  ASSERT_EQ(figures.size(), 1U);
  EXPECT_THAT(figures[0].caption, HasSubstr("not a number"));
  EXPECT_THAT(figures[0].svg, HasSubstr("tome.r = 16: nan at step 2001"));
}

TEST(Figures, TwoKeysHaveAHeatMapAndParallelCoordinates) {
  Workspace workspace;
  for (const int64_t r : {0, 8, 16, 24}) {
    for (const double lambda : {0.1, 0.5, 1.0}) {
      Made made;
      made.params = {param("tome.r", r), param("kd.lambda", lambda)};
      made.finals = {{"mAP", 0.4 + 0.01 * lambda * static_cast<double>(r)},
                     {"clips_per_s", 100 + static_cast<double>(r)},
                     {"peak_mem_mb", 800 + 300 * lambda}};
      workspace.add(made);
    }
  }
  auto query = workspace.query();
  const Comparison comparison = compare(query, {});
  const auto figures = make_figures(query, comparison);
  keep_page("two_keys.html", render_html(comparison, figures));
  std::vector<std::string> ids;
  for (const Figure& figure : figures) ids.push_back(figure.id);
  EXPECT_THAT(ids, ::testing::IsSupersetOf({"interaction", "parallel"}));
}

}  // namespace
}  // namespace xp::report
