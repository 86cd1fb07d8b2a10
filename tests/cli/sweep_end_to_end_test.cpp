// Sweeps with the real programs: the three commands that a user types first, and what survives a
// kill.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/base/process.h"
#include "sweeps/table.h"
#include "tests/testing/local_slurm.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tracker/query.h"
#include "tracker/value.h"

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

// The same with a teacher, whose logits both trainings of a sweep over lambda share.
constexpr const char* kDistilled = R"(
extends = ["small.toml"]
kd = { enabled = true, lambda = 0.5, logits = "${stages.teach.output}" }
eval.metrics = ["acc", "mAP", "auc"]
[stages.teacher]
do = "train"
with = { tome.r = 0, kd.enabled = false }
[stages.teach]
do = "teach"
checkpoint = "${stages.teacher.last}"
split = "train"
with = { tome.r = 0 }
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

/// A checkpoint of a transformer of width 32 with two blocks that holds its class token alone: a
/// header of safetensors, then 32 floats.
void put_one_tensor(const fs::path& file) {
  std::string header =
      R"({"cls_token":{"dtype":"F32","shape":[1,1,32],"data_offsets":[0,128]},)"
      R"("blocks.1.norm1.bias":{"dtype":"F32","shape":[0],"data_offsets":[128,128]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string size(8, '\0');
  size[0] = static_cast<char>(header.size());
  std::ofstream(file, std::ios::binary) << size << header << std::string(128, '\0');
}

TEST(SweepIntegration, AFailingTrialIsShownAndTheOthersEnd) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  // Its sizes are the model's, so no check stops it; what it lacks is found when it is loaded.
  put_one_tensor(dir / "half.safetensors");
  const Shell result = exp(dir, "sweep --param model.weights=none,half.safetensors --jobs 2");
  EXPECT_EQ(result.code, 1) << result.text;
  EXPECT_NE(result.text.find("error: trial 2 (model.weights = half.safetensors) failed: "),
            std::string::npos)
      << "as it happens: " << result.text;
  EXPECT_NE(result.text.find("2 trials: 1 done, 1 failed"), std::string::npos) << result.text;
  const Shell again =
      exp(dir, "sweep --param model.weights=none,half.safetensors --retry failed --fail-fast");
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

// `exp WORDS` in the background.
pid_t start_exp(const TempDir& dir, const std::string& words, const fs::path& log) {
  ProcessOptions options;
  options.folder = dir.path();
  options.output = log;
  return start_process({"sh", "-c", fmt::format("exec {}/exp {}", XP_BIN_DIR, words)}, options);
}

TEST(SweepIntegration, PrintLeavesNothingAndResumeKeepsTheExecutor) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const Shell printed = exp(dir, "sweep --param tome.r=0,2 --executor slurm --print");
  EXPECT_EQ(printed.code, 0) << printed.text;
  EXPECT_NE(printed.text.find("#SBATCH --array=1\n"), std::string::npos) << printed.text;
  EXPECT_FALSE(fs::exists(dir / ".exp" / "sweeps"));
  EXPECT_FALSE(fs::exists(dir / ".exp" / "frozen"));

  // An sbatch that takes jobs and runs none, and says what it was asked.
  fs::create_directories(dir / "bin");
  for (const char* name : {"sbatch", "squeue", "scontrol"}) {
    std::ofstream(dir / "bin" / name)
        << "#!/bin/sh\necho $(basename $0) >> '" << (dir / "asked").string() << "'; echo 100\n";
    fs::permissions(dir / "bin" / name, fs::perms::owner_all);
  }
  const std::string path = fmt::format("PATH='{}':$PATH", (dir / "bin").string());
  const Shell submitted =
      exp(dir, "sweep --param tome.r=0,2 --executor slurm --slurm=--time=5 --detach", path);
  ASSERT_EQ(submitted.code, 0) << submitted.text;
  const fs::path sweep = sweeps::find_sweep(dir / ".exp", "last");
  EXPECT_EQ(sweeps::SweepDb::open(sweep).counts().all(), 2);
  // Wider, and only looked at: the sweep is as it was.
  EXPECT_NE(exp(dir, "sweep --param tome.r=0,2,4 --executor slurm --print").text.find("#SBATCH"),
            std::string::npos);
  EXPECT_EQ(sweeps::SweepDb::open(sweep).counts().all(), 2);
  fs::remove(dir / "asked");
  const Shell resumed = exp(dir, "sweeps resume last --detach", path);
  EXPECT_EQ(resumed.code, 0) << resumed.text;
  EXPECT_NE(read_file(dir / "asked").find("sbatch\n"), std::string::npos) << "not on this machine";
  EXPECT_NE(exp(dir, "sweeps resume last --print").text.find("#SBATCH --time=5\n"),
            std::string::npos);
}

TEST(SweepIntegration, TwoDriversAtOnceHelpOneSweep) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const std::string command = "sweep --param optimiser.lr=log:1e-4:1e-3:4";
  const pid_t drivers[] = {start_exp(dir, command, dir / "first"),
                           start_exp(dir, command, dir / "second")};
  for (const pid_t driver : drivers) {
    std::optional<int> code;
    while (!(code = poll_process(driver))) ::usleep(5000);
    EXPECT_EQ(*code, 0) << read_file(dir / "first") << read_file(dir / "second");
  }
  for (const char* log : {"first", "second"})
    EXPECT_NE(read_file(dir / log).find("4 trials: 4 done"), std::string::npos)
        << read_file(dir / log);
  ASSERT_EQ(sweeps::sweep_folders(dir / ".exp").size(), 1U) << "one sweep";
  sweeps::SweepDb db = sweeps::SweepDb::open(sweeps::sweep_folders(dir / ".exp").front());
  std::map<int64_t, int> shares;  // trials of each worker
  for (const sweeps::Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.state, sweeps::TrialState::kDone);
    EXPECT_EQ(trial.tries, 1) << "no trial twice";
    ++shares[trial.process.pid];
  }
  EXPECT_EQ(tracker::Query(dir / ".exp").runs({}).size(), 4U);
  for (const auto& [pid, trials] : shares) printf("a worker did %d of 4 trials\n", trials);
}

// Trainings that are behind at an epoch end there, and none that is best.
TEST(SweepIntegration, AshaEndsRealTrainingsEarly) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const Shell result =
      exp(dir,
          "sweep --set train.epochs=9 --set dataset.val=test --strategy asha --trials 4 "
          "--param optimiser.lr=loguniform:1e-8:3e-3 --metric min:train.val.loss");
  ASSERT_EQ(result.code, 0) << result.text;
  sweeps::SweepDb db = sweeps::SweepDb::open(sweeps::sweep_folders(dir / ".exp").front());
  const sweeps::Counts counts = db.counts();
  EXPECT_EQ(counts.done + counts.stopped, 4) << result.text;
  EXPECT_GE(counts.done, 1);
  EXPECT_GE(counts.stopped, 1) << result.text;
  tracker::Query query(dir / ".exp");
  double best_stopped = 1e9, best_done = 1e9;
  for (const sweeps::Trial& trial : db.trials(true)) {
    const tracker::Curve curve = query.curve(trial.run, "train.val.loss");
    ASSERT_FALSE(curve.points.empty());
    const double last = curve.points.back().value;
    if (trial.state == sweeps::TrialState::kDone) {
      EXPECT_EQ(curve.points.size(), 9U);
      best_done = std::min(best_done, last);
      continue;
    }
    EXPECT_LT(curve.points.size(), 9U) << "it was ended in the middle of its training";
    EXPECT_NE(trial.error.find("is not in the best 1/3 of the"), std::string::npos) << trial.error;
    EXPECT_EQ(query.run(trial.run).status, tracker::Status::kInterrupted);
    best_stopped = std::min(best_stopped, last);
  }
  EXPECT_LT(best_done, best_stopped);
  EXPECT_NE(result.text.find("selected on test"), std::string::npos) << result.text;
}

// Distillation by token merging: the columns of such a study, from real trainings.
TEST(SweepIntegration, KdByMergingHasItsColumns) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  std::ofstream(dir / "kd.toml") << kDistilled;
  const Shell sweep = exp(dir, "sweep kd.toml --param kd.lambda=0.1,1 --param tome.r=0,2,4");
  ASSERT_EQ(sweep.code, 0) << sweep.text;
  const Shell report = exp(dir, "report");
  EXPECT_EQ(report.code, 0) << report.text;
  for (const char* lambda : {"kd.lambda = 0.1", "kd.lambda = 1"})
    EXPECT_NE(report.text.find(lambda), std::string::npos) << report.text;
  std::istringstream lines(report.text.substr(report.text.rfind("kd.lambda = 0.1")));
  std::string line, head;
  while (std::getline(lines, line)) {
    if (line.starts_with("tome.r")) head = line;
  }
  std::istringstream words(head);
  std::vector<std::string> names;
  for (std::string word; words >> word;) names.push_back(word);
  const std::vector<std::string> want = {"tome.r", "acc", "mAP", "auc",  "loss",   "seconds",
                                         "acc",    "mAP", "auc", "loss", "seconds"};
  EXPECT_EQ(names, want) << report.text;
}

TEST(RanksIntegration, WhatEachPrintsIsKeptWithTheRun) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const Shell run = exp(dir, "run --devices cpu:2 --until train");
  ASSERT_EQ(run.code, 0) << run.text;
  EXPECT_EQ(exp(dir, "logs last --rank 1").code, 0);
  EXPECT_EQ(exp(dir, "logs last --rank 2").code, 3) << "there were two";
}

// A run of its own and one of a sweep come again bit for bit, from nothing but what the tracker
// kept.
TEST(ReproduceIntegration, ATrainingComesAgainBitForBit) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  std::ofstream(dir / ".gitignore") << ".exp\nagain*\n";
  const std::string git = "git -C '" + dir.path().string() + "' -c user.name=t -c user.email=t@t ";
  if (testing::shell(git + "init -q && " + git + "add . && " + git + "commit -qm one").code != 0)
    GTEST_SKIP() << "no git";
  std::ofstream(dir / "small.toml", std::ios::app) << "# edited since the commit\n";
  ASSERT_EQ(exp(dir, "run").code, 0);
  const Shell again = exp(dir, "reproduce last --into again --run");
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_NE(again.text.find("with its uncommitted changes"), std::string::npos) << again.text;
  std::smatch counts;
  ASSERT_TRUE(std::regex_search(again.text, counts,
                                std::regex("(\\d+) of (\\d+) metrics of .* are the same, bit for "
                                           "bit\n")))
      << again.text;
  EXPECT_EQ(counts[1], counts[2]) << again.text;
  EXPECT_GE(std::stoi(counts[2]), 6) << again.text;

  ASSERT_EQ(exp(dir, "sweep --param tome.r=2").code, 0);
  const Shell trial = exp(dir, "reproduce last --into again2 --run");
  EXPECT_EQ(trial.code, 0) << trial.text;
  EXPECT_EQ(tracker::to_text(tracker::Query(dir / "again2/.exp").runs({})[0].params.at("tome.r")),
            "2");
  // Another seed is another training: the check says so.
  ASSERT_EQ(exp(dir, "run --set experiment.seed=7").code, 0);
  const Shell other = exp(dir, "reproduce last --check last-1");
  EXPECT_EQ(other.code, 1) << other.text;
  EXPECT_NE(other.text.find("eval.loss"), std::string::npos) << other.text;
}

// A real Slurm, the real program.
TEST(SweepSlurm, TrainsAndEvaluatesInJobs) {
  NEEDS_COMPUTE();
  TempDir dir;
  write_workspace(dir);
  const testing::LocalSlurm slurm(dir / "slurm");
  if (!slurm.missing().empty()) GTEST_SKIP() << slurm.missing();
  const Shell sweep =
      exp(dir, "sweep --param optimiser.lr=1e-3,1e-4 --param tome.r=0,2 --executor slurm");
  ASSERT_EQ(sweep.code, 0)
      << sweep.text
      << testing::shell("cat " + (dir / ".exp/sweeps").string() + "/*/slurm/*.log").text;
  EXPECT_NE(sweep.text.find("4 trials: 4 done"), std::string::npos) << sweep.text;
  sweeps::SweepDb db = sweeps::SweepDb::open(sweeps::sweep_folders(dir / ".exp").front());
  std::set<std::string> jobs;
  tracker::Query query(dir / ".exp");
  for (const sweeps::Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.tries, 1);
    jobs.insert(trial.job);
    EXPECT_EQ(query.run(trial.run).status, tracker::Status::kDone);
    EXPECT_EQ(query.run(trial.run).metrics.count("eval.acc"), 1U);
    EXPECT_NE(query.detail(trial.run).attempts.back().slurm_job, "");
  }
  EXPECT_EQ(jobs.size(), 2U) << "one task a training, its evaluations together";
  EXPECT_FALSE(fs::is_empty(dir / ".exp/frozen"));
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

// Two epochs of the quickstart's hundred, and its speed taken with two clips at a time: what a
// sweep says and makes is the same, minutes sooner.
void shorten_the_quickstart(const fs::path& file) {
  std::string recipe = read_file(file);
  for (const auto& [whole, part] : {std::pair{"\nepochs = 100\n", "\nepochs = 2\n"},
                                    std::pair{"\nwarmup_epochs = 8\n", "\nwarmup_epochs = 1\n"},
                                    std::pair{"\ndown_epochs = 92\n", "\ndown_epochs = 1\n"},
                                    std::pair{"\nbench_batch = 16\n", "\nbench_batch = 2\n"}}) {
    const size_t at = recipe.find(whole);
    ASSERT_NE(at, std::string::npos) << whole;
    recipe.replace(at, std::string_view(whole).size(), part);
  }
  write_file_atomic(file, recipe);
}

// The commands of the README as they stand there, in a folder that holds what a fresh checkout
// holds, but for the length of training and timing, which the readme test runs in full.
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

  ASSERT_NO_FATAL_FAILURE(shorten_the_quickstart(dir / "recipes/esc50/quickstart.toml"));
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

}  // namespace
}  // namespace xp::cli
