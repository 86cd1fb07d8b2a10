// The page in a browser: hovering, zooming, legends, light and dark, scripts off. Skips without
// Chromium. XP_KEEP_REPORTS=DIR keeps the page and its pictures there.
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/report/figures.h"
#include "core/report/html.h"
#include "tests/report/workspace.h"
#include "tests/testing/shell.h"

namespace xp::report {
namespace {

using testing_workspace::Workspace;

// The program's name, or "".
std::string chromium() {
  const testing::Shell found = testing::shell(
      "command -v python3 >/dev/null && { command -v chromium || command -v chromium-browser || "
      "command -v google-chrome; }");
  return found.code == 0 ? found.text.substr(0, found.text.find('\n')) : "";
}

TEST(PageIntegration, APersonPointsAtIt) {
  const std::string browser = chromium();
  if (browser.empty()) GTEST_SKIP() << "no Chromium or no python3 here";
  Workspace workspace;
  fill_sweep(workspace);
  auto query = workspace.query();
  const Comparison comparison = compare(query, {});
  const std::string_view kept = testing::env("XP_KEEP_REPORTS");
  const std::filesystem::path folder =
      kept.empty() ? workspace.folder() : std::filesystem::path(kept);
  std::ofstream(folder / "pointed.html")
      << render_html(comparison, make_figures(query, comparison));
  const testing::Shell done = testing::shell(fmt::format(
      "python3 '{}' '{}' '{}' '{}'", (testing::source_dir() / "tests/report/pointer.py").string(),
      browser, (folder / "pointed.html").string(), folder.string()));
  ASSERT_EQ(done.code, 0) << done.text;
  const auto seen = nlohmann::json::parse(done.text);

  EXPECT_TRUE(seen["hint_shown"]);
  EXPECT_EQ(seen["hover"], seen["hover_says"]);
  EXPECT_THAT(seen["hover"].get<std::string>(), ::testing::StartsWith("tome.r = 0: mAP 0.4120"));
  EXPECT_TRUE(seen["hover_inside"]);
  EXPECT_TRUE(seen["hover_left"]) << "the tip goes when the pointer leaves";

  EXPECT_EQ(seen["legend_off"], 1) << "a click on a legend hides its series";
  EXPECT_EQ(seen["legend_on"], 0);

  EXPECT_NE(seen["ticks_zoomed"], seen["ticks_before"]);
  EXPECT_TRUE(seen["mark_moved"]);
  EXPECT_NE(seen["ticks_twice"], seen["ticks_zoomed"]) << "a zoom within a zoom";
  EXPECT_EQ(seen["ticks_back"], seen["ticks_before"]) << "a double click goes back";
  EXPECT_TRUE(seen["mark_back"]);

  EXPECT_EQ(seen["background_light"], "rgb(255, 255, 255)");
  EXPECT_EQ(seen["background_dark"], "rgb(18, 22, 29)");
  EXPECT_FALSE(seen["too_wide"]) << "on a telephone the page has its width";
  EXPECT_EQ(seen["titles_without_script"], 18) << "values show on hover without scripts";
  EXPECT_EQ(seen["tables"], 3);
  EXPECT_EQ(seen["requests"], nlohmann::json::array()) << "nothing but the file is asked for";
  EXPECT_EQ(seen["faults"], nlohmann::json::array());
}

}  // namespace
}  // namespace xp::report
