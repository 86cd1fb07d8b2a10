// `exp report` as a user types it: whole outputs of every format, from a workspace that the test
// makes. XP_UPDATE_GOLDEN=1 writes tests/cli/golden anew; look at the difference before committing
// it.
#include <fstream>
#include <regex>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/base/printable.h"
#include "tests/report/workspace.h"
#include "tests/testing/shell.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using report::testing_workspace::Made;
using report::testing_workspace::param;
using MadeWorkspace = report::testing_workspace::Workspace;
using ::testing::HasSubstr;
using testing::Shell;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// A sweep of r with and without a teacher, two seeds each, scored on the test split.
class ReportCommandIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder() / "exp.toml") << "";
    for (const double lambda : {0.1, 1.0}) {
      for (const int64_t r : {0, 16, 32}) {
        for (const int64_t seed : {0, 1}) {
          Made made;
          made.name = "kd & <tome>";
          made.sweep = "01SWEEPAAAAAAAAAAAAAAAAAAA";
          made.params = {param("tome.r", r), param("kd.lambda", lambda),
                         param("experiment.seed", seed), param("eval.split", std::string("test"))};
          const double size = static_cast<double>(r);
          const double drop = 0.00001 * size * size - 0.002 * static_cast<double>(seed);
          made.finals = {{"acc", 0.5 - drop},
                         {"mAP", 0.42 - 0.02 * lambda - drop},
                         {"clips_per_s", 100 + 5 * size + static_cast<double>(seed)},
                         {"ap/m_0", 0.5 - 0.001 * size},
                         {"ap/m_1", 0.3 + 0.002 * size}};
          made.loss = {2, 1, 0.5 + drop};
          uids_.push_back(workspace_.add(made));
        }
      }
    }
  }

  const fs::path& folder() const { return workspace_.folder(); }
  Shell exp(const std::string& arguments) {
    return testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", folder().string(), XP_BIN_DIR, arguments));
  }

  // What differs from one making of the workspace to the next: ids, times, the digest of them.
  std::string stable(std::string text) const {
    for (size_t i = 0; i < uids_.size(); ++i) {
      const std::string name =
          fmt::format("RUN{:02}RUN{:02}RUN{:02}RUN{:02}RUN{:02}-", i, i, i, i, i);
      text = replaced(std::move(text), uids_[i], name);
      text = replaced(std::move(text), uids_[i].substr(18), name.substr(18));
    }
    static const std::regex time(R"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?Z?)");
    static const std::regex digest(R"re((digest"+: ?"+|Data )[0-9a-f]{16})re");
    text = std::regex_replace(text, time, "2026-01-01 00:00:00");
    return std::regex_replace(text, digest, "$010123456789abcdef");
  }

  void expect_golden(const std::string& name, const std::string& text) const {
    const fs::path file = testing::source_dir() / "tests/cli/golden" / name;
    const std::string now = stable(text);
    if (testing::env("XP_UPDATE_GOLDEN") == "1") std::ofstream(file) << now;
    EXPECT_EQ(now, read_file(file)) << name;
  }

  MadeWorkspace workspace_;
  std::vector<std::string> uids_;
};

/// Takes out what stands between each pair of marks: std::regex would need a stack as deep as it is
/// long.
void empty(std::string& page, std::string_view open, std::string_view close) {
  for (size_t at = page.find(open); at != page.npos; at = page.find(open, at + 1)) {
    const size_t begin = at + open.size();
    const size_t end = page.find(close, begin);
    ASSERT_NE(end, page.npos) << open;
    page.erase(begin, end - begin);
  }
}

TEST_F(ReportCommandIntegration, EveryFormatIsWhole) {
  const Shell table = exp("report");
  EXPECT_EQ(table.code, 0);
  expect_golden("report.txt", table.text);
  for (const char* format : {"md", "csv", "json", "latex"})
    expect_golden(fmt::format("report.{}", format),
                  exp(fmt::format("report --format {}", format)).text);
  std::string page = exp("report --format html").text;
  // The page's style and script are looked at by a browser (tests/report/browser_test.cpp).
  empty(page, "<style>", "</style>");
  empty(page, "<script>", "</script>");
  expect_golden("report.html", page);
  EXPECT_EQ(exp("report --x tome.r --y eval.mAP -o mAP.svg").text, "mAP.svg is written\n");
  expect_golden("report.svg", read_file(folder() / "mAP.svg"));
}

TEST_F(ReportCommandIntegration, AnEndingWithoutAFormatIsAnError) {
  const auto said = exp("report -o report.pdf");
  EXPECT_EQ(said.code, 2);
  EXPECT_NE(said.text.find("no format has the ending .pdf"), std::string::npos) << said.text;
  EXPECT_EQ(exp("report -o report.txt").code, 0);
}

TEST_F(ReportCommandIntegration, RemakeGivesTheSameBytes) {
  for (const char* ending : {"md", "csv", "json", "tex", "html"}) {
    const std::string first = fmt::format("first.{}", ending),
                      again = fmt::format("again.{}", ending);
    EXPECT_EQ(exp(fmt::format("report 'tome.r>=16' --metric mAP,clips_per_s -o {}", first)).text,
              first + " is written\n");
    EXPECT_EQ(exp(fmt::format("report --remake {}", first)).text, read_file(folder() / first))
        << ending;
    EXPECT_EQ(exp(fmt::format("report --remake {} -o {}", first, again)).text,
              again + " is written\n");
    EXPECT_EQ(read_file(folder() / again), read_file(folder() / first)) << ending;
  }
  // A run that would match now is not in what is made again; one that has changed is said.
  workspace_.run(64, 0, 0.1);
  EXPECT_EQ(exp("report --remake first.md").text, read_file(folder() / "first.md"));
  // As another format: the same runs.
  EXPECT_EQ(exp("report --remake first.md --format csv").text, read_file(folder() / "first.csv"));
}

// A file may be looked at in a terminal too: names of others are shown in it as the terminal shows
// them.
TEST_F(ReportCommandIntegration, FilesHoldNoControlCharacters) {
  const std::string foreign =
      "a\x1b[2J\x7f\xc2\x9b"
      "b";
  for (const int64_t r : {0, 8}) {
    Made made;
    made.name = "foreign";
    made.params = {param("tome.r", r), param("kd.index", foreign + std::to_string(r))};
    made.finals = {{"acc", 0.5}};
    workspace_.add(made);
  }
  for (const char* ending : {"txt", "md", "csv", "json", "tex", "html"}) {
    const Shell said = exp(fmt::format("report 'name=foreign' -o foreign.{}", ending));
    EXPECT_EQ(said.code, 0) << said.text;
    const std::string text = read_file(folder() / fmt::format("foreign.{}", ending));
    EXPECT_NE(text.find("2J"), std::string::npos) << "the value is in it: " << text;
    EXPECT_EQ(printable_lines(text), text) << ending;
  }
  EXPECT_FALSE(
      nlohmann::json::parse(read_file(folder() / "foreign.json"), nullptr, false).is_discarded());
  EXPECT_EQ(exp("report --remake foreign.html --format csv").text,
            read_file(folder() / "foreign.csv"));
}

TEST_F(ReportCommandIntegration, EndingsNameTheFormatAndChartsAreFiles) {
  EXPECT_EQ(exp("report -o out.md").code, 0);
  EXPECT_EQ(read_file(folder() / "out.md"), exp("report --format md").text);
  const Shell charts = exp("report --format svg -o figures");
  EXPECT_EQ(charts.code, 0) << charts.text;
  for (const char* name : {"eval-map-over-tome-r", "speedup-over-tome-r", "pareto", "interaction",
                           "parallel", "curve-train-train-loss", "classes"})
    EXPECT_TRUE(fs::exists(folder() / "figures" / (std::string(name) + ".svg"))) << name;
  EXPECT_THAT(exp("--json report").text, HasSubstr("\"words\": \"With kd.lambda = 0.1: "));
}

TEST_F(ReportCommandIntegration, TargetsAreRunsSweepsNamesAndFilters) {
  const std::string two =
      exp(fmt::format("report {} {} --metric mAP", uids_[0].substr(18), uids_[4].substr(18))).text;
  EXPECT_THAT(two,
              ::testing::StartsWith(
                  "2 runs: 2 runs\ntome.r = 32 against tome.r = 0: -0.01024 mAP. One seed each and "
                  "no interval: these differences may be chance.\n"));
  EXPECT_THAT(exp("report last-1 last --metric mAP").text,
              HasSubstr("no difference in configuration"));
  EXPECT_THAT(exp("report 'kd & <tome>' --metric mAP").text,
              HasSubstr("12 runs, 6 configurations"));
  EXPECT_THAT(exp("report 'tome.r=16' --metric mAP").text, HasSubstr("4 runs, 2 configurations"));
}

TEST_F(ReportCommandIntegration, ErrorsSayWhatAndWhere) {
  struct Case {
    const char* arguments;
    int code;
    const char* text;
  };
  const Case cases[] = {
      {"report --metric mAp", 2,
       "error: no run here has the metric 'mAp'; did you mean 'mAP'?; `exp runs --keys` lists "
       "them\n"},
      {"report --format htm", 2,
       "error: no format 'htm'; did you mean 'html'?; there are table, md, html, csv, json, latex, "
       "svg\n"},
      {"report --x tome.r", 2, "error: --x needs --y METRIC beside it\n"},
      {"report --x tome.q --y mAP", 2,
       "error: 'tome.q' does not differ between these runs, and is no metric of theirs; did you "
       "mean "
       "'tome.r'?\n"},
      {"report --format svg", 2,
       "error: --format svg needs -o DIR, or -o FILE.svg with --x and --y\n"},
      {"report -o one.svg", 2,
       "error: -o FILE.svg needs --x KEY --y METRIC; -o DIR takes every chart\n"},
      {"report --remake exp.toml", 3,
       "error: this file holds no query of a report: it was not written by `exp report`, or as "
       "svg, "
       "which keeps none\n"},
  };
  for (const Case& c : cases) {
    const Shell result = exp(c.arguments);
    EXPECT_EQ(result.text, c.text);
    EXPECT_EQ(result.code, c.code) << c.arguments;
  }
}

// Outputs replace regular files alone.
TEST_F(ReportCommandIntegration, OutputsFollowLinksAndFillPipes) {
  const std::string want = exp("report --format csv").text;
  fs::create_symlink("target.csv", folder() / "link.csv");
  EXPECT_EQ(exp("report -o link.csv").code, 0);
  EXPECT_TRUE(fs::is_symlink(folder() / "link.csv"));
  EXPECT_EQ(stable(read_file(folder() / "target.csv")), stable(want));
  const Shell piped = exp("--version >/dev/null; mkfifo pipe.csv; cat pipe.csv > got.csv & " +
                          fmt::format("{}/exp --quiet report -o pipe.csv; wait", XP_BIN_DIR));
  EXPECT_EQ(piped.code, 0) << piped.text;
  EXPECT_TRUE(fs::is_fifo(folder() / "pipe.csv"));
  EXPECT_EQ(stable(read_file(folder() / "got.csv")), stable(want));
  EXPECT_THAT(exp("report --format csv -o /dev/stdout").text, HasSubstr(want));
}

}  // namespace
}  // namespace xp::cli
