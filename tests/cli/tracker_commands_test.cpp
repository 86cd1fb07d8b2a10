// The commands that look after runs, as a user types them.
#include <cmath>
#include <cstdio>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Shell;
using tracker::Grain;
using tracker::Outcome;
using tracker::Unit;

class TrackerCommandsIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir / "exp.toml") << "";
    tracker::Store store(dir / ".exp");
    for (int i = 0; i < 2; ++i) {
      tracker::RunOptions options = tracker::testing_runs::quiet();
      auto run = store.create(tracker::testing_runs::sample("kd", 8 * i), options);
      auto stage = run->begin_stage("train", "train", "0123456789abcdef", {});
      const auto loss = stage->metric("loss", Unit::kNone);
      for (int step = 1; step <= 300; ++step) stage->log(loss, step, 1.0 / step + i);
      stage->log(stage->metric("val.mAP", Unit::kFraction, Grain::kEpoch), 1, 0.25);
      stage->summary("mAP", 0.4 + 0.1 * i, Unit::kFraction);
      stage->finished(Outcome::kDone, "");
      run->event(tracker::Level::kWarning, "slow disk");
      if (i == 0) {
        run->finish(Outcome::kDone, "", "", 0);
      } else {
        run->finish(Outcome::kFailed, "loss is nan", "stage train", 1);
      }
      uids.push_back(run->uid());
    }
    std::ofstream(store.run_folder(uids[1]) / "files/output.0.log") << "hello\n";
  }
  Shell exp(const std::string& arguments) {
    return testing::shell(
        fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", dir.path().string(), XP_BIN_DIR, arguments));
  }
  nlohmann::json json(const std::string& arguments) {
    const Shell result = exp("--json " + arguments);
    EXPECT_EQ(result.code, 0) << result.text;
    return nlohmann::json::parse(result.text, nullptr, false);
  }
  static std::string tail(const std::string& uid) { return uid.substr(18); }

  testing::TempDir dir;
  std::vector<std::string> uids;
};

TEST_F(TrackerCommandsIntegration, RunsListsFiltersAndSorts) {
  EXPECT_EQ(exp("runs 'status=done' --columns uid,tome.r,train.mAP").text,
            fmt::format("uid       tome.r  train.mAP\n{}       0        0.4\n", tail(uids[0])));
  const Shell all = exp("runs --sort train.mAP --columns name,status,train.mAP,error");
  EXPECT_EQ(all.text,
            "name  status  train.mAP  error\n"
            "kd    done          0.4\n"
            "kd    failed        0.5  loss is nan\n");
  const auto listed = json("runs 'tome.r>=8'");
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["uid"], uids[1]);
  EXPECT_EQ(listed[0]["metrics"]["train.loss"]["n"], 300);
  EXPECT_EQ(exp("runs 'tome.r>100'").text.substr(0, 3), "uid");
  EXPECT_EQ(
      exp("runs --columns nmae").text,
      "error: no run has 'nmae'; did you mean 'name'?; `exp runs --keys` lists what there is\n");
  EXPECT_EQ(exp("runs --columns nmae").code, 2);
  EXPECT_NE(exp("runs --keys").text.find("train.loss\n"), std::string::npos);
}

TEST_F(TrackerCommandsIntegration, ShowPlotsAndExplains) {
  const std::string text = exp("show last").text;
  for (const char* part : {"status    failed: loss is nan", "where     stage train", "train.loss",
                           "tome.r", "--set", "warning: slow disk"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_EQ(json("show last")["attempts"][0]["exit_code"], 1);
  EXPECT_NE(exp("show last --plot train.loss").text.find("step 300"), std::string::npos);
  EXPECT_EQ(json("show last-1 --plot train.loss")["value"][1], 0.5);
  EXPECT_EQ(exp("show last --plot train.los").text,
            fmt::format("error: run {} has no metric 'train.los'; did you mean 'train.loss'?\n",
                        tail(uids[1])));
}

TEST_F(TrackerCommandsIntegration, DiffShowsOnlyWhatDiffers) {
  const std::string text = exp("diff last-1 last").text;
  EXPECT_NE(text.find("tome.r"), std::string::npos);
  EXPECT_EQ(text.find("optimiser.lr"), std::string::npos);
  EXPECT_NE(text.find("+0.1"), std::string::npos) << text;
  EXPECT_EQ(exp("diff last last").text, "no difference\n");
  EXPECT_EQ(json("diff last-1 last")["config"][0]["key"], "tome.r");
}

TEST_F(TrackerCommandsIntegration, LogsTagNoteStopRm) {
  EXPECT_EQ(exp("logs last").text, "hello\n");
  EXPECT_NE(exp("logs last --events").text.find("warning slow disk\n"), std::string::npos);
  EXPECT_EQ(exp("logs last-1").code, 3);
  EXPECT_EQ(exp("tag last paper best").text,
            fmt::format("run {}: tagged paper best\n", tail(uids[1])));
  EXPECT_EQ(exp("tag last --remove best").text,
            fmt::format("run {}: no longer tagged best\n", tail(uids[1])));
  EXPECT_EQ(exp("note last too slow").text, fmt::format("noted at run {}\n", tail(uids[1])));
  const auto tagged = json("runs tag=paper");
  ASSERT_EQ(tagged.size(), 1u);
  EXPECT_EQ(tagged[0]["notes"], "too slow");
  EXPECT_EQ(exp("stop last").text,
            fmt::format("error: run {} is not running; there is nothing to stop\n", uids[1]));
  EXPECT_EQ(exp("rm last </dev/null").text, "error: 1 run would be removed: say --yes\n");
  EXPECT_EQ(exp("rm --filter status=failed --yes").text, "1 run removed\n");
  EXPECT_EQ(json("runs").size(), 1u);
}

/// A command that goes on by itself; its output is read line by line.
class Following {
 public:
  Following(const fs::path& folder, const std::string& arguments)
      : pipe_(::popen(fmt::format("cd '{}' && NO_COLOR=1 {}/exp {} 2>&1", folder.string(),
                                  XP_BIN_DIR, arguments)
                          .c_str(),
                      "r")) {}
  /// Lines up to the first that holds `part`; all that is left where none does.
  std::string until(const std::string& part) {
    std::string out, line;
    for (int c = std::fgetc(pipe_); c != EOF; c = std::fgetc(pipe_)) {
      line += static_cast<char>(c);
      if (c != '\n') continue;
      out += line;
      if (line.find(part) != std::string::npos) return out;
      line.clear();
    }
    return out + line;
  }
  /// The rest, and the exit code of the command.
  std::pair<std::string, int> rest() {
    std::string out = until("\n\n");
    return {std::move(out), ::pclose(pipe_)};
  }

 private:
  FILE* pipe_;
};

TEST_F(TrackerCommandsIntegration, ALiveRunIsFollowedAndStopped) {
  tracker::Store store(dir / ".exp");
  auto run = store.create(tracker::testing_runs::sample("live", 0), tracker::testing_runs::quiet());
  const std::string uid = tail(run->uid());
  const auto loss = run->metric("loss", Unit::kNone);
  run->log(loss, 1, 2.0);
  std::ofstream output(store.run_folder(run->uid()) / "files/output.0.log");
  output << "first\n" << std::flush;
  EXPECT_NE(exp("show last").text.find("running"), std::string::npos);

  Following logs(dir.path(), "logs " + uid + " -f");
  EXPECT_EQ(logs.until("first"), "first\n");
  output << "second\n" << std::flush;
  EXPECT_EQ(logs.until("second"), "second\n");
  Following plot(dir.path(), "show " + uid + " --plot loss -f");
  EXPECT_NE(plot.until("step 1").find("step 1"), std::string::npos);
  run->log(loss, 2, 1.0);

  Following stop(dir.path(), "stop " + uid + " --wait");
  EXPECT_EQ(stop.until("\n"), "run " + uid + " is asked to stop\n");
  run->flush();
  EXPECT_TRUE(run->stop_requested());
  output << "third\n" << std::flush;
  run->finish(Outcome::kInterrupted, "exp stop", "", 130);
  EXPECT_EQ(stop.rest(), std::make_pair(std::string(), 0)) << "returns when the run has stopped";
  EXPECT_EQ(logs.rest(), std::make_pair(std::string("third\n"), 0)) << "ends with the run";
  const auto [picture, code] = plot.rest();
  EXPECT_EQ(code, 0);
  EXPECT_NE(picture.find("step 2"), std::string::npos) << picture;
  EXPECT_EQ(json("runs status=interrupted").size(), 1u);
}

TEST_F(TrackerCommandsIntegration, SqlFindsARunInAnyFolder) {
  const std::filesystem::path odd = dir / "a#b?c%20 d";
  std::filesystem::create_directories(odd);
  std::ofstream(odd / "exp.toml") << "";
  tracker::Store store(odd / ".exp");
  tracker::testing_runs::finished_run(store, "odd", 8, 0.5);
  const Shell answer = testing::shell(
      fmt::format("cd '{}' && NO_COLOR=1 {}/exp sql --run last 'SELECT name FROM run.run'",
                  odd.string(), XP_BIN_DIR));
  EXPECT_EQ(answer.code, 0) << answer.text;
  EXPECT_NE(answer.text.find("odd\n"), std::string::npos) << answer.text;
}

// Names and notes of others do not write to a terminal, nor to a file that one will show.
TEST_F(TrackerCommandsIntegration, EscapeCodesOfNamesAreShown) {
  tracker::Store store(dir / ".exp");
  tracker::NewRun run = tracker::testing_runs::sample("red\x1b[31m", 8);
  run.tags = {"tag\x1b]0;title\x07"};
  run.notes = "two\nlines\x9b and \xc2\x9b\x7f";
  store.create(run, tracker::testing_runs::quiet())->finish(tracker::Outcome::kDone, "", "", 0);
  for (const char* command :
       {"show last", "runs", "runs --json", "show last --json", "tag last 'a\x1b[0m'",
        "sql \"SELECT name, notes FROM run\"", "sql --json \"SELECT name, notes FROM run\"",
        "show nobody\x1b[2J 2>&1", "runs --columns name,tags,notes"}) {
    const Shell shown = exp(command);
    for (const char c : {'\x1b', '\x07', '\x7f', '\x9b'})
      EXPECT_EQ(shown.text.find(c), std::string::npos) << command << ": " << shown.text;
  }
  EXPECT_NE(exp("show last").text.find("red\\x1b[31m"), std::string::npos);
  const auto json = nlohmann::json::parse(exp("show last --json").text);
  EXPECT_EQ(json["name"], "red\x1b[31m") << "JSON has its own escapes";
}

// What makes the numbers of two runs differ is named.
TEST_F(TrackerCommandsIntegration, ReproduceNamesTheEnvironmentThatDiffers) {
  tracker::Store store(dir / ".exp");
  for (const char* threads : {"1", "4"}) {
    auto run =
        store.create(tracker::testing_runs::sample("env", 8), tracker::testing_runs::quiet());
    run->note_fact("run.threads", threads);
    run->note_fact("env.OMP_PROC_BIND", std::string(threads) == "1" ? "true" : "close");
    run->note_fact("host.boot_id", threads);
    run->finish(tracker::Outcome::kDone, "", "", 0);
  }
  const Shell said = exp("reproduce last-1 --check last");
  EXPECT_NE(said.text.find("environment differs: env.OMP_PROC_BIND true -> close\n"
                           "environment differs: run.threads 1 -> 4\n"),
            std::string::npos)
      << said.text;
  EXPECT_EQ(said.text.find("boot_id"), std::string::npos) << said.text;
}

TEST_F(TrackerCommandsIntegration, SqlDecodesPoints) {
  EXPECT_EQ(
      exp("sql \"SELECT step, value FROM points('last-1', 'train.loss') WHERE step<=2\"").text,
      "step  value\n   1    1.0\n   2    0.5\n");
  EXPECT_EQ(
      json("sql \"SELECT COUNT(*) AS n, COUNT(DISTINCT metric) AS m FROM points('last')\"")[0]["n"],
      302);
  EXPECT_EQ(exp("sql --run last \"SELECT name, last FROM run.metrics WHERE grain='final'\"").text,
            "name       last\ntrain.mAP   0.5\n");
  EXPECT_EQ(exp("sql \"DELETE FROM run\"").text,
            "error: only a SELECT can be asked: exp owns what is in these tables\n");
  EXPECT_EQ(exp("sql \"SELECT 1; SELECT 2\"").text, "error: give one statement at a time\n");
  EXPECT_EQ(exp("sql \"SELEC 1\"").text, "error: near \"SELEC\": syntax error\n");
  EXPECT_NE(exp("sql \"SELECT * FROM points()\"").text.find("points() needs a run"),
            std::string::npos);
}

TEST_F(TrackerCommandsIntegration, IndexAndExport) {
  EXPECT_EQ(exp("index").text.substr(0, 6), "2 runs");
  std::ofstream(dir / ".exp/runs" / uids[0] / "run.db") << std::string(4096, 'x');
  const Shell broken = exp("index");
  EXPECT_EQ(broken.code, 3);
  EXPECT_NE(broken.text.find("run " + uids[0] + " cannot be read"), std::string::npos)
      << broken.text;
  EXPECT_EQ(exp("runs status=failed --export csv out 2>/dev/null").text,
            "1 run with 302 points is in out\n");
  EXPECT_EQ(exp("runs --export cvs out2 2>&1 | tail -1").text,
            "error: there is no format 'cvs'; did you mean 'csv'?\n");
}

TEST_F(TrackerCommandsIntegration, ReproduceBuildsTheSourceAgain) {
  const std::string git = "git -C '" + dir.path().string() + "' -c user.name=t -c user.email=t@t ";
  std::ofstream(dir / "kd.toml") << "x = 1\n";
  std::ofstream(dir / ".gitignore") << ".exp\nreproduce-*\n";
  if (testing::shell(git + "init -q && " + git + "add . && " + git + "commit -qm one").code != 0)
    GTEST_SKIP() << "no git";
  std::ofstream(dir / "kd.toml") << "x = 2\n";
  std::ofstream(dir / "new.toml") << "y = 1\n";
  tracker::RunOptions options;
  options.source = dir.path();
  auto run = tracker::Store(dir / ".exp").create(tracker::testing_runs::sample("src", 8), options);
  run->finish(Outcome::kDone, "", "", 0);
  const Shell built = exp("reproduce last --into again");
  EXPECT_EQ(built.code, 0) << built.text;
  EXPECT_NE(built.text.find("with its uncommitted changes, 1 untracked files"), std::string::npos)
      << built.text;
  EXPECT_EQ(built.text.find("byte for byte"), std::string::npos);
  EXPECT_EQ(read_file(dir / "again/kd.toml"), "x = 2\n");
  EXPECT_EQ(read_file(dir / "again/new.toml"), "y = 1\n");
  EXPECT_EQ(read_file(dir / "again/reproduced.toml"), "tome.r = 8\n");
  EXPECT_EQ(exp("reproduce last --into again").code, 2);

  const Shell same = exp("reproduce last-1 --check last-1");
  EXPECT_EQ(same.code, 0);
  EXPECT_NE(same.text.find("3 of 3 metrics"), std::string::npos) << same.text;
  const Shell other = exp("reproduce last-1 --check last-2");
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.text.find("1 of 3 metrics"), std::string::npos) << other.text;
}

}  // namespace
}  // namespace xp::cli
