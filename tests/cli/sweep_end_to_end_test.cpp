// Sweeps with the real programs: the three commands that a user types first, and what survives a
// kill.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/process.h"
#include "sweeps/table.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Shell;
using testing::TempDir;

#define NEEDS_COMPUTE() \
  if (!XP_HAS_COMPUTE) GTEST_SKIP() << "this build has no compute part"

Shell exp(const TempDir& dir, const std::string& arguments, const std::string& before = "") {
  return testing::shell(fmt::format("cd '{}' && {} NO_COLOR=1 {}/exp {}", dir.path().string(),
                                    before, XP_BIN_DIR, arguments));
}

// Made-up sounds, a model of a few thousand weights, one epoch.
constexpr const char* kSmall = R"(
experiment.name = "small"
dataset = { name = "synthetic", clips = 24, classes = 3, clip_s = 1.0, test_fold = 5, val = "none" }
frontend = { kind = "kaldi", frames = 96, mel_bins = 64 }
model = { arch = "ast-nano", dim = 32, depth = 2, heads = 2, fstride = 16, tstride = 16 }
train = { epochs = 1, batch_size = 8, loss = "ce", precision = "fp32" }
optimiser.lr = 1e-3
eval.metrics = ["acc", "mAP"]
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
[sweep]
metric = "max:eval.acc"
)";

void write_workspace(const TempDir& dir) {
  std::ofstream(dir / "exp.toml") << "default_recipe = \"small.toml\"\n";
  std::ofstream(dir / "small.toml") << kSmall;
}

TEST(SweepIntegration, TrainsOnceReportsAndAddsWhatIsMissing) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const Shell dry = exp(dir, "sweep --param tome.r=0:4:2 --dry-run");
  EXPECT_EQ(dry.code, 0) << dry.text;
  EXPECT_NE(dry.text.find("runs prepare, train, eval"), std::string::npos) << dry.text;
  EXPECT_NE(dry.text.find("3 trials, 3 to run\n"), std::string::npos) << dry.text;
  EXPECT_FALSE(fs::exists(dir / ".exp" / "sweeps")) << "a dry run leaves nothing";

  const Shell first = exp(dir, "sweep --param tome.r=0:4:2");
  ASSERT_EQ(first.code, 0) << first.text;
  EXPECT_NE(first.text.find("3 trials: 3 done; look further: exp report "), std::string::npos)
      << first.text;
  EXPECT_NE(first.text.find("best (selected on test): tome.r = "), std::string::npos) << first.text;
  tracker::Query query(dir / ".exp");
  const auto runs = query.runs({});
  ASSERT_EQ(runs.size(), 3U);
  int made = 0;
  for (const tracker::RunInfo& run : runs) {
    for (const tracker::StageInfo& stage : query.detail(run.uid).stages)
      made += stage.kind == "train" && !stage.reused;
  }
  EXPECT_EQ(made, 1) << "one training for all";

  const Shell again = exp(dir, "sweep --param tome.r=0:4:2");
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(tracker::Query(dir / ".exp").runs({}).size(), 3U);

  const Shell wider = exp(dir, "sweep --param tome.r=0:4:1 --json");
  EXPECT_EQ(wider.code, 0) << wider.text;
  EXPECT_EQ(tracker::Query(dir / ".exp").runs({}).size(), 5U);

  const Shell report = exp(dir, "report");
  EXPECT_EQ(report.code, 0) << report.text;
  EXPECT_NE(report.text.find("sweep "), std::string::npos) << report.text;
  EXPECT_NE(report.text.find("eval.acc"), std::string::npos) << report.text;
  EXPECT_NE(report.text.find("selected on test"), std::string::npos) << report.text;

  const Shell status = exp(dir, "sweeps");
  EXPECT_NE(status.text.find("tome.r=0:4:1"), std::string::npos) << status.text;
  EXPECT_NE(status.text.find("5 trials: 5 done"), std::string::npos) << status.text;
}

TEST(SweepIntegration, AFailingTrialIsShownAndTheOthersEnd) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  std::ofstream(dir / "garbage.pt") << "no weights";
  const Shell result = exp(dir, "sweep --param model.weights=none,garbage.pt --jobs 2");
  EXPECT_EQ(result.code, 1) << result.text;
  EXPECT_NE(result.text.find("error: trial 2 (model.weights = garbage.pt) failed: "),
            std::string::npos)
      << "as it happens: " << result.text;
  EXPECT_NE(result.text.find("2 trials: 1 done, 1 failed"), std::string::npos) << result.text;
  const Shell again =
      exp(dir, "sweep --param model.weights=none,garbage.pt --retry failed --fail-fast");
  EXPECT_EQ(again.code, 1) << again.text;
  EXPECT_NE(again.text.find("a trial failed (--fail-fast)"), std::string::npos) << again.text;
}

TEST(SweepIntegration, CancelAndResume) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  EXPECT_EQ(exp(dir, "sweep --param tome.r=0,2").code, 0);
  const Shell cancelled = exp(dir, "sweeps cancel last");
  EXPECT_EQ(cancelled.code, 0) << cancelled.text;
  EXPECT_NE(exp(dir, "sweeps").text.find("halted: cancelled"), std::string::npos);
  const Shell resumed = exp(dir, "sweeps resume last");
  EXPECT_EQ(resumed.code, 0) << resumed.text;
  EXPECT_NE(resumed.text.find("2 trials: 2 done"), std::string::npos) << resumed.text;
}

// kill -9 of the driver and its workers in the middle; the same command ends with each trial done
// once.
void kill_and_go_on(const std::string& sweep, int64_t trials, int64_t killed_after) {
  TempDir dir;
  write_workspace(dir);
  const std::string program = fmt::format("{}/exp", XP_BIN_DIR);
  std::vector<std::string> words = {program, "sweep"};
  size_t begin = 0;
  while (begin < sweep.size()) {
    const size_t end = std::min(sweep.find(' ', begin), sweep.size());
    words.push_back(sweep.substr(begin, end - begin));
    begin = end + 1;
  }
  ProcessOptions options;
  options.folder = dir.path();
  options.output = dir / "log";
  const pid_t driver = start_process(words, options);
  const auto folders = [&] { return sweeps::sweep_folders(dir / ".exp"); };
  std::vector<int64_t> workers;
  while (true) {
    ASSERT_FALSE(poll_process(driver).has_value()) << "it ended before it could be killed";
    if (!folders().empty()) {
      sweeps::SweepDb db = sweeps::SweepDb::open(folders().front());
      const sweeps::Counts counts = db.counts();
      if (counts.done >= killed_after && counts.running > 0) {
        for (const sweeps::Trial& trial : db.trials(true)) {
          if (trial.state == sweeps::TrialState::kRunning) workers.push_back(trial.process.pid);
        }
        break;
      }
    }
    ::usleep(5000);
  }
  ::kill(driver, SIGKILL);
  for (const int64_t pid : workers) ::kill(static_cast<pid_t>(pid), SIGKILL);
  while (!poll_process(driver)) ::usleep(1000);

  const Shell again = exp(dir, "sweep " + sweep);
  EXPECT_EQ(again.code, 0) << again.text;
  sweeps::SweepDb db = sweeps::SweepDb::open(folders().front());
  EXPECT_EQ(folders().size(), 1U);
  EXPECT_EQ(db.counts().done, trials);
  std::set<std::string> of_trials;
  for (const sweeps::Trial& trial : db.trials(true)) of_trials.insert(trial.run);
  EXPECT_EQ(of_trials.size(), static_cast<size_t>(trials));
  int64_t done = 0;
  std::map<std::string, int> makers;  // key of a training -> runs that say they made it
  tracker::Query query(dir / ".exp");
  for (const tracker::RunInfo& run : query.runs({})) {
    if (run.sweep.empty()) continue;
    EXPECT_EQ(run.status, tracker::Status::kDone) << run.uid;
    EXPECT_EQ(of_trials.count(run.uid), 1U) << "a run of no trial";
    ++done;
    for (const tracker::StageInfo& stage : query.detail(run.uid).stages) {
      if (stage.kind == "train" && !stage.reused) ++makers[stage.key];
    }
  }
  EXPECT_EQ(done, trials);
  for (const auto& [key, runs] : makers) EXPECT_EQ(runs, 1) << key;
}

TEST(KilledSweepIntegration, EachTrialIsDoneOnce) {
  NEEDS_COMPUTE();
  kill_and_go_on("--param optimiser.lr=log:1e-4:1e-3:3 --seeds 2 --jobs 2", 6, 2);
}

TEST(KilledSweepStress, EightByThree) {
  NEEDS_COMPUTE();
  kill_and_go_on("--param optimiser.lr=log:1e-4:1e-3:8 --seeds 3 --jobs 2", 24, 9);
}

// The commands of the README as they stand there, in a folder that holds what a fresh checkout
// holds.
TEST(ThreeCommandsIntegration, RunVerbatim) {
  NEEDS_COMPUTE();
  TempDir dir;
  fs::copy(testing::source_dir() / "recipes", dir / "recipes", fs::copy_options::recursive);
  fs::copy_file(testing::source_dir() / "exp.toml", dir / "exp.toml");
  fs::create_directories(dir / "no data");
  const std::string without_data = fmt::format("EXP_DATA='{}'", (dir / "no data").string());

  // AudioSet is not here: the command says what it looked for, where, and how to try it small.
  const Shell run = exp(dir, "run recipes/audioset/kd.toml", without_data);
  EXPECT_EQ(run.code, 3) << run.text;
  EXPECT_NE(run.text.find("no data/audioset"), std::string::npos) << run.text;
  EXPECT_NE(run.text.find("exp run recipes/audioset/kd.toml --variant tiny"), std::string::npos)
      << run.text;

  const Shell sweep = exp(dir, "sweep --param tome.r=0:64:8", without_data);
  ASSERT_EQ(sweep.code, 0) << sweep.text;
  EXPECT_NE(sweep.text.find("9 trials: 9 done"), std::string::npos) << sweep.text;
  EXPECT_NE(sweep.text.find("Pareto front (selected on test):"), std::string::npos) << sweep.text;

  const Shell report = exp(dir, "report");
  EXPECT_EQ(report.code, 0) << report.text;
  for (const char* wanted : {"eval.acc", "eval.clips_per_s", "\n64 ", "selected on test"})
    EXPECT_NE(report.text.find(wanted), std::string::npos) << wanted << "\n" << report.text;
  EXPECT_EQ(exp(dir, "report -o report.html").code, 0);
  EXPECT_TRUE(fs::exists(dir / "report.html"));
}

TEST(ThreeCommandsIntegration, TinyDistillation) {
  NEEDS_COMPUTE();
  const std::string data(testing::env("EXP_DATA"));
  if (data.empty() || !fs::exists(fs::path(data) / "audioset_mini"))
    GTEST_SKIP() << "no $EXP_DATA/audioset_mini";
  TempDir dir;
  fs::copy(testing::source_dir() / "recipes", dir / "recipes", fs::copy_options::recursive);
  fs::copy_file(testing::source_dir() / "exp.toml", dir / "exp.toml");
  const Shell run = exp(dir, "run recipes/audioset/kd.toml --variant tiny");
  EXPECT_EQ(run.code, 0) << run.text;
  const Shell report = exp(dir, "report");
  EXPECT_EQ(report.code, 0) << report.text;
  EXPECT_NE(report.text.find("eval.mAP"), std::string::npos) << report.text;
}

}  // namespace
}  // namespace xp::cli
