// Trainings as a user meets them: the two programs, the cache, signals, several ranks.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/metric/metrics.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Shell;

// The stages of recipes/audioset/kd.toml in small: a CNN teaches a transformer that merges tokens.
constexpr const char* kDistillation = R"(
experiment = { name = "small-kd", seed = 1 }
dataset = { name = "synthetic", clips = 60, classes = 3, clip_s = 0.6, val = "none" }
frontend = { kind = "kaldi", mel_bins = 32, frames = 64 }
augment = { wave_mix_p = 0.5, freq_mask_bins = 4 }
model = { arch = "ast-nano", depth = 2, dim = 32, heads = 2, fstride = 16, tstride = 16 }
tome.r = 1
train = { epochs = 2, batch_size = 8, loss = "bce", log_every_steps = 1 }
optimiser = { kind = "adam", lr = 1e-3 }
averaging = { kind = "epochs", first_epoch = 1, last_epoch = 2 }
eval = { metrics = ["mAP", "acc"] }
kd = { enabled = true, logits = "${stages.teach.output}" }
[stages.teacher]
do = "train"
[stages.teacher.with]
kd.enabled = false
frontend = { kind = "augment_mel", clip_s = 0.6 }
augment = { wave_mix_p = 0.0, freq_mask_bins = 0, spec_mix_alpha = 0.3 }
model.arch = "mn01"
sampler = { kind = "importance", draws = 24 }
averaging.kind = "none"
[stages.teach]
do = "teach"
checkpoint = "${stages.teacher.last}"
split = "train"
[stages.student]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.student.average}"
[stages.embed]
do = "embed"
checkpoint = "${stages.student.last}"
)";

constexpr const char* kMasked = R"(
experiment = { name = "small-ssast", seed = 1 }
dataset = { name = "synthetic", clips = 60, classes = 3, clip_s = 0.6, val = "none" }
frontend = { kind = "kaldi", frames = 64, norm = "${stages.levels.output}" }
model = { arch = "ssast-tiny-patch", depth = 2, dim = 24, heads = 2, fstride = 16, tstride = 16 }
pretrain = { masked = 8, cluster_min = 2, cluster_max = 3 }
train = { epochs = 2, batch_size = 8 }
optimiser = { kind = "adam", lr = 1e-3 }
eval.metrics = ["acc"]
stages.levels = { do = "stats", with = { frontend.norm = "" } }
stages.masked = { do = "pretrain" }
stages.tune = { do = "train", with = { model.weights = "${stages.masked.last}" } }
stages.eval = { do = "evaluate", checkpoint = "${stages.tune.last}" }
)";

// Two folds, what they have in common, and what a model has to beat.
constexpr const char* kFolds = R"(
experiment = { name = "small-folds", seed = 1 }
dataset = { name = "synthetic", clips = 60, classes = 3, clip_s = 0.6, val = "none" }
frontend = { kind = "kaldi", mel_bins = 32, frames = 64 }
model = { arch = "ast-nano", depth = 1, dim = 32, heads = 2, fstride = 16, tstride = 16 }
train = { epochs = 1, batch_size = 8, loss = "ce" }
optimiser = { kind = "adam", lr = 1e-3 }
eval.metrics = ["acc"]
stages.train = { do = "train", each = { "dataset.test_fold" = "1:2:1" } }
stages.eval = { do = "evaluate", each = { "dataset.test_fold" = "1:2:1" }, checkpoint = "${stages.train.last}" }
stages.folds = { do = "aggregate", inputs = "${stages.eval.output}" }
stages.simple = { do = "baseline" }
)";

class TrainRun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!XP_HAS_COMPUTE) GTEST_SKIP() << "built without the compute part";
    write("kd.toml", kDistillation);
    write("masked.toml", kMasked);
    write("folds.toml", kFolds);
    workspace("one");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  void workspace(const std::string& name) const {
    fs::create_directories(folder_ / name);
    std::ofstream(folder_ / name / "exp.toml") << "runtime.threads = 1\n";
  }
  /// A line of shell in the workspace `where`, `variables` before the program.
  std::string line(const std::string& where, const std::string& arguments,
                   const std::string& variables = "") const {
    return fmt::format("cd '{}' && exec env NO_COLOR=1 OMP_NUM_THREADS=1 {} {}/exp {}",
                       (folder_ / where).string(), variables, XP_BIN_DIR, arguments);
  }
  Shell exp(const std::string& where, const std::string& arguments,
            const std::string& variables = "") const {
    return testing::shell("(" + line(where, "--quiet " + arguments, variables) + ")");
  }
  /// What `exp --json run` prints; fails the test unless it exits 0.
  json run_json(const std::string& where, const std::string& arguments) const {
    const Shell said = testing::shell("(" + line(where, "--quiet --json run " + arguments) +
                                      " 2> '" + (folder_ / "stderr.txt").string() + "')");
    EXPECT_EQ(said.code, 0) << said.text << read_file(folder_ / "stderr.txt");
    return said.code == 0 ? json::parse(said.text) : json();
  }
  /// Stage -> "done", "cached".
  static std::map<std::string, std::string> results(const json& run) {
    std::map<std::string, std::string> out;
    for (const json& stage : run.at("stages")) out[stage.at("name")] = stage.at("result");
    return out;
  }
  fs::path cache(const std::string& where) const { return folder_ / where / ".exp" / "cache"; }
  /// Files of that name in the finished outputs of a kind.
  std::vector<fs::path> outputs(const std::string& where, const std::string& kind,
                                const std::string& file) const {
    std::vector<fs::path> found;
    if (!fs::exists(cache(where) / kind)) return found;
    for (const auto& entry : fs::directory_iterator(cache(where) / kind))
      if (fs::exists(entry.path() / file)) found.push_back(entry.path() / file);
    std::sort(found.begin(), found.end());
    return found;
  }
  /// Every output is finished, or marked as one that is not.
  void expect_nothing_half_written(const std::string& where) const {
    for (const auto& kind : fs::directory_iterator(cache(where))) {
      if (!kind.is_directory() || kind.path().filename() == "inputs") continue;
      for (const auto& entry : fs::directory_iterator(kind.path())) {
        if (!entry.is_directory()) continue;
        EXPECT_TRUE(entry.path().extension() == ".partial" ||
                    entry.path().extension().string().starts_with(".tmp-") ||
                    fs::exists(entry.path() / "manifest.json"))
            << entry.path();
      }
    }
  }

  testing::TempDir folder_;
};

class KdRunIntegration : public TrainRun {};

/// Each metric is a line of core/metric/metrics.inc, and has its unit.
void expect_known(const json& metrics) {
  EXPECT_FALSE(metrics.empty());
  for (const auto& [name, summary] : metrics.items()) {
    if (name.starts_with("system.")) continue;
    EXPECT_NE(metric::find(name), nullptr) << name;
    EXPECT_EQ(summary.at("unit"), text(metric::unit_of(name))) << name;
  }
}

TEST_F(KdRunIntegration, TeacherLogitsStudentScoreAndThenAllCached) {
  const json first = run_json("one", "../kd.toml");
  for (const auto& [stage, result] : results(first)) EXPECT_EQ(result, "done") << stage;
  EXPECT_EQ(results(first).size(), 7U) << "two prepares, one for each rate";
  EXPECT_EQ(outputs("one", "teach", "logits.h5").size(), 1U);
  EXPECT_EQ(outputs("one", "train", "last.safetensors").size(), 2U);
  EXPECT_EQ(outputs("one", "evaluate", "predictions.h5").size(), 1U);
  EXPECT_EQ(outputs("one", "embed", "embeddings.h5").size(), 1U);

  const json second = run_json("one", "../kd.toml");
  for (const auto& [stage, result] : results(second)) EXPECT_EQ(result, "cached") << stage;
  // Another weight of the labels: the teacher and its logits stay.
  const auto third = results(run_json("one", "../kd.toml --set kd.lambda=0.5"));
  EXPECT_EQ(third.at("teach"), "cached");
  EXPECT_EQ(third.at("student"), "done");

  const auto runs = json::parse(exp("one", "--json runs").text);
  ASSERT_EQ(runs.size(), 3U);
  for (const json& run : runs) EXPECT_EQ(run.at("status"), "done") << run;
  const auto show = json::parse(exp("one", "--json show last-1").text);
  EXPECT_TRUE(show.at("metrics").contains("eval.mAP")) << show.at("metrics");
  EXPECT_TRUE(show.at("metrics").contains("student.train.loss_kd"));
  EXPECT_TRUE(show.at("metrics").contains("teach.mAP"));
  expect_known(show.at("metrics"));
  const Shell worst = exp("one", "show last-1 --worst 2");
  EXPECT_EQ(worst.code, 0);
  EXPECT_EQ(std::count(worst.text.begin(), worst.text.end(), '\n'), 4) << worst.text;
  EXPECT_TRUE(worst.text.starts_with("eval\n  loss  clip ")) << worst.text;
}

TEST_F(KdRunIntegration, AReportOfTwoTrainingsSaysWhatDiffersAndTheMetricsSideBySide) {
  for (const char* r : {"0", "2"}) run_json("one", fmt::format("../kd.toml --set tome.r={}", r));
  const json report = json::parse(exp("one", "report last-1 last --format json").text);
  ASSERT_EQ(report.at("keys").size(), 1U) << report.at("keys");
  const json& groups = report.at("groups");
  ASSERT_EQ(groups.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(groups[i].at("values").at("tome.r"), i == 0 ? 0 : 2);
    const json shown =
        json::parse(exp("one", i == 0 ? "--json show last-1" : "--json show last").text);
    EXPECT_EQ(groups[i].at("metrics").at("eval.mAP").at("mean"),
              shown.at("metrics").at("eval.mAP").at("last"));
  }
  const Shell table = exp("one", "report last-1 last");
  EXPECT_NE(table.text.find("tome.r"), std::string::npos) << table.text;
}

TEST_F(KdRunIntegration, ABundleOfARunTrainsOn) {
  run_json("one", "../kd.toml --until teacher");
  const auto teacher = outputs("one", "train", "last.safetensors");
  ASSERT_EQ(teacher.size(), 1U);
  const Shell bundle =
      exp("one", fmt::format("export '{}' --as bundle --out ../bundle", teacher[0].string()));
  ASSERT_EQ(bundle.code, 0) << bundle.text;
  const std::string recipe = read_file(folder_ / "bundle/recipe.toml");
  EXPECT_NE(recipe.find("sampler.draws = 24\n"), std::string::npos) << recipe;
  const json more = run_json("one", "../bundle/recipe.toml --until train");
  EXPECT_EQ(results(more).at("train"), "done");
}

TEST_F(KdRunIntegration, WeightsOfAnotherFrontEndAreTakenOnlyWhenAsked) {
  const std::string other =
      "run ../masked.toml --until tune --set stages.tune.with.frontend.low_hz=50";
  const Shell refused = exp("one", other);
  EXPECT_EQ(refused.code, 2) << refused.text;
  EXPECT_NE(refused.text.find("was trained with frontend.low_hz = 20 (here 50); "
                              "model.frontend_mismatch = \"warn\" goes on"),
            std::string::npos)
      << refused.text;
  const Shell wanted = exp("one", other + " --set stages.tune.with.model.frontend_mismatch=warn");
  EXPECT_EQ(wanted.code, 0) << wanted.text;
  EXPECT_NE(wanted.text.find("WARNING: "), std::string::npos) << wanted.text;
}

TEST_F(KdRunIntegration, AnEvaluationIsComparedWithAnotherClipByClip) {
  write("compared.toml", std::string(kMasked) + R"(
stages.again = { do = "evaluate", checkpoint = "${stages.tune.last}", with = { eval.batch_size = 3 } }
stages.compared = { do = "aggregate", inputs = "${stages.eval.output}", against = "${stages.again.output}" }
)");
  const Shell said = exp("one", "run ../compared.toml");
  ASSERT_EQ(said.code, 0) << said.text;
  const size_t row = said.text.find("\ncompared ");
  ASSERT_NE(row, std::string::npos) << said.text;
  EXPECT_NE(said.text.find("(difference 0 [0, 0])", row), std::string::npos) << said.text;
}

TEST_F(KdRunIntegration, TheShippedRecipeOnRealSounds) {
  const char* data = std::getenv("EXP_DATA");
  if (data == nullptr || !fs::exists(fs::path(data) / "audioset_mini"))
    GTEST_SKIP() << "EXP_DATA has no audioset_mini";
  const std::string recipe =
      fmt::format("'{}/recipes/audioset/kd.toml' --variant tiny", fs::current_path().string());
  const json first = run_json("one", recipe);
  for (const auto& [stage, result] : results(first)) EXPECT_EQ(result, "done") << stage;
  EXPECT_EQ(outputs("one", "teach", "logits.h5").size(), 1U);
  for (const auto& [stage, result] : results(run_json("one", recipe)))
    EXPECT_EQ(result, "cached") << stage;
  const Shell report = exp("one", "report");
  EXPECT_EQ(report.code, 0) << report.text;
  EXPECT_NE(report.text.find("eval.mAP"), std::string::npos) << report.text;
}

class StopIntegration : public TrainRun {
 protected:
  struct Stop {
    const char* stage;
    int times;  ///< the stage asks so often before the signal comes
    const char* signal;
    int code;
  };
  /// One run after the other of the same recipe, each stopped elsewhere, then one to the end; and
  /// the same without stops in a workspace of its own.
  void stop_again_and_again(const std::string& recipe, const std::vector<Stop>& stops) {
    for (const Stop& stop : stops) {
      SCOPED_TRACE(fmt::format("{} by {}", stop.stage, stop.signal));
      const Shell said =
          exp("one", "run " + recipe,
              fmt::format("EXP_REHEARSE_STOP={}:{}:{}", stop.stage, stop.times, stop.signal));
      EXPECT_EQ(said.code, stop.code) << said.text;
      expect_nothing_half_written("one");
    }
    run_json("one", recipe);
    workspace("two");
    run_json("two", recipe);
    for (const char* kind : {"train", "pretrain"}) {
      const auto weights = outputs("one", kind, "last.safetensors");
      const auto whole = outputs("two", kind, "last.safetensors");
      ASSERT_EQ(weights.size(), whole.size());
      for (size_t i = 0; i < whole.size(); ++i)
        EXPECT_EQ(read_file(weights[i]), read_file(whole[i])) << weights[i];
    }
    for (const char* kind : {"evaluate", "baseline", "aggregate"}) {
      const auto metrics = outputs("one", kind, "metrics.json");
      const auto whole = outputs("two", kind, "metrics.json");
      ASSERT_EQ(metrics.size(), whole.size());
      EXPECT_TRUE(kind != std::string("evaluate") || !whole.empty());
      for (size_t i = 0; i < whole.size(); ++i)
        EXPECT_EQ(read_file(metrics[i]), read_file(whole[i])) << metrics[i];
    }
    const auto runs = json::parse(exp("one", "--json runs").text);
    ASSERT_EQ(runs.size(), 1U) << "every call goes on with the same run";
    EXPECT_EQ(runs[0].at("status"), "done");
  }
};

TEST_F(StopIntegration, DistillationInEveryStage) {
  stop_again_and_again("../kd.toml", {{"prepare@32000", 9, "TERM", 75},
                                      {"teacher", 2, "INT", 130},
                                      {"teacher", 3, "KILL", 137},
                                      {"teach", 2, "USR2", 75},
                                      {"student", 3, "TERM", 75},
                                      {"student", 4, "USR2", 75},
                                      {"eval", 1, "INT", 130},
                                      {"embed", 1, "TERM", 75}});
}

TEST_F(StopIntegration, PretrainingInEveryStage) {
  stop_again_and_again("../masked.toml", {{"levels", 1, "TERM", 75},
                                          {"masked", 4, "INT", 130},
                                          {"masked", 2, "KILL", 137},
                                          {"tune", 7, "USR2", 75}});
}

TEST_F(StopIntegration, FoldsAndBaselineInEveryStage) {
  // The baseline asks once for each of its clips, 48 to fit and 12 to score, and at every step of
  // the fit between them.
  stop_again_and_again("../folds.toml", {{"folds", 1, "TERM", 75},
                                         {"folds", 2, "INT", 130},
                                         {"folds", 2, "USR2", 75},
                                         {"simple", 7, "INT", 130},
                                         {"simple", 50, "TERM", 75},
                                         {"simple", 51, "KILL", 137}});
  EXPECT_EQ(outputs("one", "baseline", "metrics.json").size(), 1U);
  EXPECT_EQ(outputs("one", "aggregate", "metrics.json").size(), 1U);
}

class WatchIntegration : public TrainRun {};

TEST_F(WatchIntegration, ProfileLeavesATraceOfEachTraining) {
  const Shell said = exp("one", "run ../masked.toml --until tune --profile ../traces");
  EXPECT_EQ(said.code, 0) << said.text;
  for (const char* stage : {"masked", "tune"}) {
    const fs::path file = folder_ / "traces" / (std::string(stage) + ".json");
    ASSERT_TRUE(fs::exists(file)) << file;
    const json trace = json::parse(read_file(file));
    std::map<std::string, int> calls;
    for (const json& event : trace.at("traceEvents"))
      if (event.value("ph", "") == "X") ++calls[event.value("name", "")];
    EXPECT_GT(calls["aten::addmm"], 0) << "forward";
    EXPECT_GT(calls["AddmmBackward0"], 0) << "backward";
    EXPECT_GT(calls["aten::_fused_adam_"], 0) << "optimiser";
  }
  EXPECT_FALSE(fs::exists(folder_ / "traces" / "levels.json")) << "a stage that trains nothing";
}

TEST_F(WatchIntegration, ABrokenLossEndsTheRunAndIsReplayed) {
  // Nothing is learned in the first fifty steps; then the steps are far too long: the loss of one
  // training runs away, the gradient of the other, which squares, is soon no number.
  const std::string far =
      " --set optimiser.lr=10 --set schedule.warmup_steps=60 --set schedule.warmup_every_steps=50";
  for (const auto& [recipe, message] : std::map<std::string, std::string>{
           {"../folds.toml --until train@1 --set train.epochs=20", "the loss ran away: "},
           {"../masked.toml --until masked --set train.epochs=40", " is not finite; lr "}}) {
    SCOPED_TRACE(recipe);
    const Shell said = exp("one", "run " + recipe + far);
    EXPECT_EQ(said.code, 1) << said.text;
    EXPECT_NE(said.text.find(message), std::string::npos) << said.text;
    EXPECT_NE(said.text.find("\nclips: synthetic-"), std::string::npos) << said.text;
    const std::string words = "the batch is kept: exp evaluate --replay ";
    const size_t at = said.text.find(words);
    ASSERT_NE(at, std::string::npos) << said.text;
    const size_t begin = at + words.size();
    const std::string file = said.text.substr(begin, said.text.find('\n', begin) - begin);
    const Shell replayed = exp("one", "evaluate --replay '" + file + "'");
    EXPECT_EQ(replayed.code, 0) << replayed.text;
    const auto number = [&](const std::string& after) {
      const size_t found = replayed.text.find(after);
      EXPECT_NE(found, std::string::npos) << replayed.text;
      return found == std::string::npos ? 0 : std::stod(replayed.text.substr(found + after.size()));
    };
    const double lost = number("the loss was ");
    const double again = number("loss of the batch, computed again in fp32: ");
    EXPECT_TRUE(std::isnan(lost) ? std::isnan(again) : std::abs(again - lost) < 1e-4 * lost)
        << replayed.text;
  }
}

class RanksDist : public TrainRun {
 protected:
  void TearDown() override {  // a test that failed leaves nothing running
    for (const pid_t group : groups_) ::kill(-group, SIGKILL);
  }
  /// Starts a line in a process group of its own, its words into `log`.
  pid_t start(const std::string& shell_line, const fs::path& log) {
    const pid_t pid = fork();
    if (pid > 0) groups_.push_back(pid);
    if (pid != 0) return pid;
    setpgid(0, 0);
    const std::string whole = shell_line + " > '" + log.string() + "' 2>&1";
    execl("/bin/sh", "sh", "-c", whole.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  /// Waits for an event; false when the process ended before it.
  static bool until(pid_t pid, const std::function<bool()>& event) {
    while (!event()) {
      siginfo_t info{};
      waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT);
      if (info.si_pid == pid) return event();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  static int free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
  }
  /// What srun does: the same command once per rank, told its place by variables; exit codes and
  /// words of the ranks. `variables`: of each rank alone.
  std::vector<std::pair<int, std::string>> launch(const std::vector<std::string>& variables) {
    const int port = free_port();
    const size_t world = variables.size();
    std::vector<pid_t> pids;
    for (size_t rank = 0; rank < world; ++rank) {
      const std::string place =
          fmt::format("RANK={} WORLD_SIZE={} MASTER_ADDR=127.0.0.1 MASTER_PORT={} {}", rank, world,
                      port, variables[rank]);
      pids.push_back(start(line("one", "--quiet run ../kd.toml --devices cpu", place),
                           folder_ / fmt::format("rank{}.txt", rank)));
    }
    std::vector<std::pair<int, std::string>> ends;
    for (size_t rank = 0; rank < world; ++rank) {
      const int code = wait_for(pids[rank]);
      ends.emplace_back(code, read_file(folder_ / fmt::format("rank{}.txt", rank)));
    }
    return ends;
  }
  bool has_checkpoint() const {
    if (!fs::exists(cache("one") / "train")) return false;
    for (const auto& stage : fs::directory_iterator(cache("one") / "train")) {
      if (!stage.is_directory()) continue;
      for (const auto& file : fs::directory_iterator(stage.path()))
        if (file.path().filename().string().starts_with("state-") &&
            file.path().extension() == ".json")
          return true;
    }
    return false;
  }

  std::vector<pid_t> groups_;
};

TEST_F(RanksDist, ALaunchedRankThatDiesEndsTheJob) {
  // Before it has joined the others, and in the middle of the work: nobody saw it go but the
  // launcher, which is not there.
  for (const int times : {1, 4}) {
    SCOPED_TRACE(times);
    const auto ranks = launch({"", fmt::format("EXP_REHEARSE_STOP=teacher:{}:KILL", times)});
    EXPECT_EQ(ranks[0].first, 1);
    EXPECT_NE(ranks[0].second.find("rank 1 failed: it gives no sign of life"), std::string::npos)
        << ranks[0].second;
    EXPECT_EQ(ranks[1].first, 137) << ranks[1].second;
  }
}

TEST_F(RanksDist, CtrlCAndSigtermEndAllRanksAndTheNextCallGoesOn) {
  // Ctrl-C reaches every process of the terminal's group, the others rank 0 alone.
  const std::string command =
      line("one",
           "--quiet run ../kd.toml --devices cpu:2 --until teacher "
           "--set train.epochs=1000000 --set stages.teacher.with.train.epochs=1000000");
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) {
    SCOPED_TRACE(signal);
    const bool group = signal == SIGINT;
    const fs::path log = folder_ / fmt::format("signal-{}.txt", signal);
    std::ofstream(log).flush();
    const pid_t pid = start(command, log);
    ASSERT_TRUE(until(pid, [&] {
      return has_checkpoint() &&
             (group || read_file(log).find("goes on from step") != std::string::npos);
    })) << read_file(log);
    ::kill(group ? -pid : pid, signal);
    EXPECT_EQ(wait_for(pid), group ? 130 : 75) << read_file(log);
    EXPECT_EQ(::kill(-pid, 0), -1) << "a worker is left";
    expect_nothing_half_written("one");
  }
}

TEST_F(RanksDist, ALauncherStartsTheRanks) {
  for (const auto& [code, said] : launch({"", ""})) EXPECT_EQ(code, 0) << said;
  EXPECT_EQ(outputs("one", "train", "last.safetensors").size(), 2U);
  const auto runs = json::parse(exp("one", "--json runs").text);
  ASSERT_EQ(runs.size(), 1U) << "rank 0 alone keeps the run";
  EXPECT_EQ(runs[0].at("status"), "done");
}

}  // namespace
}  // namespace xp::cli
