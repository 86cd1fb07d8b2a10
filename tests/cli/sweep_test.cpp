// `exp sweep` and `exp sweeps` over stages that only pretend: what is shown, refused and reported.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/sweep_text.h"
#include "tests/sweeps/pretended_sweep.h"
#include "tests/testing/shell.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

class SweepTest : public testing::PretendedSweep {};

TEST_F(SweepTest, TheSummarySaysTheBestAndWhatFailed) {
  runner_.before = [](const graph::Node& node, graph::StageContext&) {
    if (node.kind != "evaluate") return;
    const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
    if (options.tome && options.tome->r.value == 8)
      throw Error("no memory for r = 8\nand more", Exit::kFailed);
  };
  sweeps::SweepDb db = store();
  work(db);
  const std::string summary = sweep_summary(db.spec(), db.trials(true), true);
  EXPECT_NE(summary.find("best (selected on test): tome.r = 0: eval.mAP 0.5\n"), std::string::npos)
      << summary;
  EXPECT_NE(summary.find("trial 2 (tome.r = 8) failed: no memory for r = 8\n"), std::string::npos)
      << summary;
}

// The file's lr goes with its kind of optimiser: without a swept value there is none.
TEST_F(SweepTest, ARecipeThatNeedsItsSweptKeyIsSwept) {
  arguments_.params = {"optimiser.lr=1e-3,5e-3"};
  arguments_.run.set = {"optimiser.kind=sgd"};
  sweeps::SweepDb db = store();
  EXPECT_EQ(db.counts().queued, 2);
  arguments_.params = {"optimiser.lr=5e-4,1e-3,5e-3"};
  EXPECT_EQ(store().folder(), db.folder()) << "wider, with another first value";
  EXPECT_EQ(db.counts().queued, 3);
  EXPECT_EQ(work(db), 3U);
  const auto shell = testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp sweeps resume last",
                                                dir_.path().string(), XP_BIN_DIR));
  EXPECT_EQ(shell.code, 0) << shell.text;
}

TEST_F(SweepTest, ASweepThatCannotBeReadHidesNoOther) {
  sweeps::SweepDb db = store();
  fs::create_directories(".exp/sweeps/7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  std::ofstream(".exp/sweeps/7ZZZZZZZZZZZZZZZZZZZZZZZZZ/sweep.db") << std::string(5000, 'x');
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir_.path().string(),
                                      XP_BIN_DIR, arguments));
  };
  for (const char* command : {"sweeps", "sweeps status", "sweeps status last", "sweeps --json"}) {
    const testing::Shell said = shell(command);
    EXPECT_EQ(said.code, 0) << said.text;
    EXPECT_NE(said.text.find("pretend"), std::string::npos) << said.text;
  }
  EXPECT_NE(shell("sweeps").text.find("cannot be read"), std::string::npos);
  EXPECT_EQ(shell("sweeps status 7ZZZZZZZ").code, 3);
}

// As in a workspace on a read-only disk: what its dead workers held stays as it is.
TEST_F(SweepTest, ASweepThatCannotBeWrittenIsShown) {
  sweeps::SweepDb db = store();
  tracker::ProcessId gone = tracker::this_process();
  gone.start -= 1;
  ASSERT_EQ(db.claim("worker", gone, 1).size(), 1U);
  fs::remove(db.folder() / "turn.lock");
  fs::create_directories(db.folder() / "turn.lock");  // nobody can lock it
  for (const char* command : {"sweeps", "sweeps status last"}) {
    const testing::Shell said = testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir_.path().string(), XP_BIN_DIR, command));
    EXPECT_EQ(said.code, 0) << said.text;
    EXPECT_NE(said.text.find("running"), std::string::npos) << said.text;
  }
}

// Their threads would keep the cores from each other: trials took four to eight times as long.
TEST_F(SweepTest, WorkersAreStartedWithAShortSpin) {
  fs::copy_file(fs::path(XP_BIN_DIR) / "exp", dir_ / "exp");
  std::ofstream(dir_ / "exp-compute")
      << "#!/bin/sh\necho \"$1 $2 $GOMP_SPINCOUNT\" >> started.txt\nexit 4\n";
  fs::permissions(dir_ / "exp-compute", fs::perms::owner_all);
  const auto started = [&](const std::string& line) {
    fs::remove(dir_ / "started.txt");
    const testing::Shell result =
        testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}", dir_.path().string(), line));
    EXPECT_NE(result.text.find("workers cannot start"), std::string::npos) << result.text;
    const std::string text = read_file(dir_ / "started.txt");
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(started("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ./exp sweep"), "sweeps work 1000");
  EXPECT_EQ(started("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT ./exp sweeps resume last"),
            "sweeps work 1000");
  EXPECT_EQ(started("env GOMP_SPINCOUNT=7 ./exp sweep"), "sweeps work 7") << "the user's stays";
}

TEST_F(SweepTest, AboveAThousandTrialsItAsks) {
  const auto shell = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp sweep --dry-run {}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  };
  const std::string wide = "--param optimiser.lr=lin:1e-4:1e-3:1001";
  const testing::Shell refused = shell(wide);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.text, "error: 1001 trials; --yes if that is meant\n");
  EXPECT_EQ(shell("--param optimiser.lr=lin:1e-4:1e-3:334 --seeds 3").text,
            "error: 1002 trials; --yes if that is meant\n")
      << "seeds count";
  EXPECT_EQ(shell("--strategy random --trials 1001 --param optimiser.lr=uniform:1e-6:0.1").text,
            "error: 1001 trials; --yes if that is meant\n");
  const testing::Shell meant = shell(wide + " --yes");
  EXPECT_EQ(meant.code, 0);
  EXPECT_TRUE(meant.text.ends_with("1001 trials, 1001 to run\n"))
      << meant.text.substr(meant.text.size() - std::min<size_t>(200, meant.text.size()));
}

// What the command of the issue ends in: words, table and charts of r, on one page.
TEST_F(SweepTest, TheReportOfAFinishedSweepIsAPage) {
  arguments_.params = {"tome.r=0:64:8"};
  arguments_.objectives = {"max:eval.mAP", "max:eval.clips_per_s"};
  runner_.report = [](const graph::Node& node, graph::StageContext& context) {
    if (node.kind != "evaluate") return;
    const auto& options = graph::options_of<schema::EvaluateStageOptions>(node);
    const auto r = static_cast<double>(options.tome ? options.tome->r.value : 0);
    context.sink->summary("mAP", 0.5 - 0.00002 * r * r, tracker::Unit::kFraction);
    context.sink->summary("clips_per_s", 100 + 4 * r, tracker::Unit::kPerSecond);
  };
  sweeps::SweepDb db = store();
  EXPECT_EQ(work(db), 9U);
  const auto report = [&](const std::string& arguments) {
    return testing::shell(fmt::format("cd '{}' && NO_COLOR=1 {}/exp report {}",
                                      dir_.path().string(), XP_BIN_DIR, arguments));
  };
  ASSERT_EQ(report("-o report.html").code, 0);
  const std::string page = read_file(dir_ / "report.html");
  for (const char* part :
       {"<h1", "sweep ", "tome.r = 8 is 1.32x faster than 0 at", "beyond 16 mAP falls off",
        "selected on test", "eval.mAP over tome.r", "Speed-up over tome.r", "mAP over throughput",
        "Pareto front", "<svg", "--remake FILE"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  for (int r = 0; r <= 64; r += 8)
    EXPECT_NE(page.find(fmt::format("tome.r = {}", r)), std::string::npos) << r;
  EXPECT_EQ(report("--remake report.html -o again.html").code, 0);
  EXPECT_EQ(read_file(dir_ / "again.html"), page);

  // Two keys: their interaction as well.
  arguments_.params = {"tome.r=0:16:8", "tome.inflection=-0.5,0,0.5"};
  sweeps::SweepDb two = store();
  EXPECT_EQ(work(two), 9U);
  ASSERT_EQ(report("-o two.html").code, 0);
  EXPECT_NE(read_file(dir_ / "two.html").find("mAP by "), std::string::npos);
}

}  // namespace
}  // namespace xp::cli
