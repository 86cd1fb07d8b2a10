// docs/tracker.md: its example is the code below, which is compiled and run.
#include <sstream>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/testing/temp_dir.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp {
namespace {

double example(const std::filesystem::path& workspace) {
  double sum = 0;
  // clang-format off
  // [docs/tracker.md
  tracker::Store store(workspace / ".exp");
  tracker::NewRun what;
  what.name = "demo";
  what.params = {{"lr", 0.1, "demo.cpp"}};
  auto run = store.create(what, {});
  const auto loss = run->metric("loss", tracker::Unit::kNone);
  for (int64_t step = 1; step <= 100; ++step) run->log(loss, step, 1.0 / static_cast<double>(step));
  run->finish(tracker::Outcome::kDone, "", "", 0);

  tracker::Query query(workspace / ".exp");
  for (const auto& found : query.runs({.filter = "name=demo and loss<0.5", .sort = {"loss"}})) {
    for (const auto& point : query.curve(found.uid, "loss").points) sum += point.value;
  }
  // docs/tracker.md]
  // clang-format on
  return sum;
}

/// The lines between the marks, without their indent.
std::string example_text() {
  std::istringstream lines(read_file(testing::source_dir() / "tests/tracker/docs_test.cpp"));
  std::string out;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "  // docs/tracker.md]") break;
    if (inside) out += (line.starts_with("  ") ? line.substr(2) : line) + "\n";
    if (line == "  // [docs/tracker.md") inside = true;
  }
  return out;
}

TEST(TrackerDocs, ExampleRunsAsItStands) {
  const testing::TempDir dir;
  EXPECT_NEAR(example(dir.path()), 5.187377517639621, 1e-12);
  const std::string page = read_file(testing::source_dir() / "docs/tracker.md");
  EXPECT_NE(page.find("```cpp\n" + example_text() + "```"), std::string::npos) << example_text();
}

}  // namespace
}  // namespace xp
